/** One sampling of the student, and the gradients at what stood in for its blocks. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { finalLatentsOf, sample } from "../../diffusion/sample.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import type { NetworkGradients } from "../../engine/network/networkGradients.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { backThroughSampling } from "./backThroughSampling.js";
import { distance } from "./distillationLoss.js";
import type { TaughtLoss } from "./distillationLoss.js";
import type { DistilledParameters } from "./distilledParameters.js";
import { solverWeights } from "./solverWeights.js";
import { reusesAt, studentHook } from "./studentHook.js";
import type { StudentRecord } from "./studentRecord.js";

export interface Student {
  readonly pipeline: Pipeline;
  readonly schedule: Schedule;
  readonly reuse: ReuseRule;
  readonly trained: DistilledParameters;
  readonly gradients: NetworkGradients;
}

/**
 * Moves the coefficients of an evaluation.
 *
 * @param branches block id → gradient at what stood in for its C
 */
export type Step = (branches: ReadonlyMap<string, FloatTensor>, record: StudentRecord) => void;

/**
 * Samples by what the teacher says at each evaluation on the student's state, and steps before the next: gradients run
 * back through one evaluation, and not into those before it.
 *
 * @returns the mean loss of the evaluations that reuse
 */
export async function taughtIteration(
  { pipeline, schedule, reuse, trained, gradients }: Student,
  loss: TaughtLoss,
  sampling: SampleOptions,
  step: Step,
): Promise<number> {
  const found: number[] = [];
  const reuses = (evaluation: number): boolean => reusesAt(schedule, evaluation);
  const hook = studentHook(pipeline, schedule, trained, {
    reuse,
    keepsValues: reuses,
    async before(inputs, record) {
      if (reuses(record.evaluation.index)) await record.teach(pipeline, inputs, loss, sampling.signal);
    },
    async after(record) {
      if (reuses(record.evaluation.index)) {
        const { value, seeds } = await record.loss(pipeline.device, loss, schedule.guidance_scale);
        found.push(value);
        // Before the first stand-in there is nothing to train.
        const stages = record.recorded();
        const first = stages.findIndex(({ how }) => how === "reused");
        const { branches } = await gradients.backward(stages.slice(first), record.values, seeds);
        step(branches, record);
      }
      record.release();
    },
  });
  try {
    await finalLatentsOf(sample(pipeline, { ...sampling, hooks: [hook] }));
  } finally {
    hook.records.forEach((record) => record.release());
  }
  return found.reduce((sum, value) => sum + value, 0) / Math.max(1, found.length);
}

/**
 * Samples to the end without caching and with it, and steps by the distance of the final latents. Every block's border of
 * every evaluation is kept until then.
 *
 * @returns Σ(x − y)² / Σy²
 * @throws UnsupportedError for a solver that is not linear in the network's outputs
 */
export async function wholeIteration(
  { pipeline, schedule, reuse, trained, gradients }: Student,
  sampling: SampleOptions,
  step: Step,
): Promise<number> {
  const weights = await solverWeights(planEvaluations(pipeline, sampling).solver);
  const first = schedule.timesteps.findIndex((_, evaluation) => reusesAt(schedule, evaluation));
  const hook = studentHook(pipeline, schedule, trained, { reuse, keepsValues: (evaluation) => evaluation >= first });
  const target = await finalLatentsOf(sample(pipeline, sampling));
  try {
    const latents = await finalLatentsOf(sample(pipeline, { ...sampling, hooks: [hook] }));
    const { value, gradient } = distance(latents.data, target.data, 1);
    const found = await backThroughSampling(
      gradients,
      hook,
      weights,
      { dims: latents.dims, data: gradient },
      { first, guidanceScale: schedule.guidance_scale },
    );
    for (const [evaluation, branches] of found) step(branches, hook.records[evaluation]);
    return value;
  } finally {
    hook.records.forEach((record) => record.release());
  }
}
