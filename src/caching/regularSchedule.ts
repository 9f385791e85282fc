import type { Pipeline } from "../diffusion/pipeline.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { BlockKind } from "../graphs/block.js";
import { checkSchedule } from "./schedule.js";
import type { Schedule } from "./schedule.js";

export interface RegularScheduleOptions extends Pick<SampleOptions, "solver" | "schedulerConfig" | "steps" | "guidanceScale"> {
  /** every how many network evaluations a block computes */
  readonly interval: number;
  /** kinds of block that are cached; `conv_out` skips whole evaluations, since nothing else is read */
  readonly kinds: readonly BlockKind[];
}

/**
 * A schedule that needs no profile: blocks of some kinds compute at one interval.
 *
 * @throws ArgumentError where the interval is no positive integer, or the sampling does not fit the model
 */
export async function regularSchedule(pipeline: Pipeline, { interval, kinds, ...sampling }: RegularScheduleOptions): Promise<Schedule> {
  const { solver, guidanceScale } = planSampling(pipeline, { ...sampling, prompt: "" });
  const computed = [...solver.timesteps.keys()].filter((evaluation) => evaluation % interval === 0);
  return checkSchedule({
    format: "blockcache-schedule",
    version: 1,
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    solver: solver.name,
    solver_config: solver.config,
    num_inference_steps: solver.numInferenceSteps,
    timesteps: solver.timesteps,
    guidance_scale: guidanceScale,
    heuristic: { name: "regular", interval, kinds },
    blocks: Object.fromEntries(pipeline.network.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => [id, computed])),
  });
}
