/** Sampling by a schedule: where a block does not compute, its branch is not run. */
import { ArgumentError } from "../../errors.js";
import { evaluationTimes } from "../../diffusion/evaluationTimes.js";
import type { EvaluationTime } from "../../diffusion/evaluationTimes.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook, SamplingPlan } from "../../diffusion/samplingPlan.js";
import type { Device } from "../../engine/device.js";
import { HeldTensors } from "../../engine/heldTensors.js";
import type { DeviceTensor } from "../../engine/session.js";
import type { Block } from "../../graphs/block.js";
import { historyOf, requireFitsSchedule, termsOf } from "../adjustment/adjustment.js";
import type { Adjustment } from "../adjustment/adjustment.js";
import { adjustmentMender } from "./adjustmentMender.js";
import { executionPlan } from "./executionPlan.js";
import { followsInput, mendedSum } from "./mendedSum.js";
import type { Mender } from "./mendedSum.js";
import { hold } from "./reuseRule.js";
import type { ReuseRule } from "./reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { weightedSum } from "./weightedSum.js";

export interface CachedRunOptions {
  /** what stands in for C. Default: hold, as in the paper */
  readonly reuse?: ReuseRule;
  /** mends what stands in for C; fitted for this schedule and rule. Default: none */
  readonly adjustment?: Adjustment;
  /** Mismatches between schedule and run that are let pass. Default: none */
  readonly allow?: readonly ScheduleMismatch[];
}

/** `model`: another fingerprint; `solver`: another solver, its configuration, or other timesteps of the same number */
export type ScheduleMismatch = "model" | "solver";

/** A sampling hook that reuses, and what it did in its last run. */
export interface CachedRun extends SamplingHook {
  /** block id → evaluations at which its branch ran; all blocks of the network, after sampling */
  readonly computedAt: ReadonlyMap<string, readonly number[]>;
  /** block id → evaluations at which a kept C took its place */
  readonly reusedAt: ReadonlyMap<string, readonly number[]>;
  /** most bytes of kept branches, and of the sums that stand in for some, at any time of the run */
  readonly peakCacheBytes: number;
}

interface Kept {
  readonly time: EvaluationTime;
  readonly branch: DeviceTensor;
  /** the block's input, where an adjustment reads how it changed */
  readonly input?: DeviceTensor;
}

/**
 * Caches by a schedule (paper section 3.2). Give it to one sampling at a time:
 * `generate(pipeline, { prompt, steps: 20, hooks: [cachedRun(schedule)] })`.
 *
 * @throws ArgumentError where the adjustment was fitted for another schedule or rule; when sampling starts, where the
 *   schedule is for another model, solver or number of steps, or names a block that the model does not have; during
 *   sampling, where the rule gives other than a finite weight for each kept value
 */
export function cachedRun(
  schedule: Schedule,
  { reuse = hold, adjustment, allow = [] }: CachedRunOptions = {},
): CachedRun {
  if (adjustment === undefined) return mendedRun(schedule, { reuse, allow });
  requireFitsSchedule(adjustment, schedule, reuse);
  return mendedRun(schedule, { reuse, allow, mender: adjustmentMender(adjustment, termsOf(adjustment)) });
}

/** A cached run whose stand-ins a mender may change as it goes. */
export function mendedRun(
  schedule: Schedule,
  { reuse, mender, allow = [] }: { reuse: ReuseRule; mender?: Mender; allow?: readonly ScheduleMismatch[] },
): CachedRun {
  const history = historyOf(reuse, mender?.terms ?? []);
  const plan = executionPlan(schedule, { history });
  const keepsInput = (block: Block): boolean => mender?.terms.includes("input_change") === true && followsInput(block);
  const kept = new Map<string, Kept[]>();
  const passing: DeviceTensor[] = [];
  const computedAt = new Map<string, number[]>();
  const reusedAt = new Map<string, number[]>();
  let device: Device | undefined;
  let times: readonly EvaluationTime[] = [];
  let held = new HeldTensors();

  const releasePassing = (): void => {
    for (const tensor of passing.splice(0)) held.release(tensor);
  };
  const releaseAll = (): void => {
    releasePassing();
    for (const { branch, input } of [...kept.values()].flat()) {
      held.release(branch);
      if (input !== undefined) held.release(input);
    }
    kept.clear();
  };

  return {
    computedAt,
    reusedAt,
    get peakCacheBytes() {
      return held.peakBytes;
    },
    async begin(pipeline, sampling) {
      await checkFit(schedule, pipeline, sampling, allow);
      releaseAll();
      computedAt.clear();
      reusedAt.clear();
      held = new HeldTensors();
      device = pipeline.device;
      times = evaluationTimes(sampling.solver);
    },
    wants({ id }, { index }) {
      return { branch: plan.get(id)?.[index] === "keep", out: false };
    },
    standsIn({ id }, { index }) {
      return typeof plan.get(id)?.[index] === "number";
    },
    async standIn(block, evaluation, input) {
      const { id } = block;
      const { index } = evaluation;
      const values = kept.get(id);
      if (device === undefined || values === undefined)
        throw new TypeError(`${id}: reused at evaluation ${index} before it was computed`);
      const known = values.slice(-reuse.history);
      const weights = reuse.weights(
        id,
        known.map(({ time }) => time),
        times[index],
      );
      // A rule may be a user's own.
      if (weights?.length !== known.length || !weights.every(Number.isFinite))
        throw new ArgumentError(
          `reuse: ${reuse.name}: expected ${known.length} finite weights for ${id} at evaluation ${index}, found ${JSON.stringify(weights)}`,
        );
      const parts = { kept: values, weights, input };
      const coefficients = await mender?.coefficients(block, evaluation, parts);
      if (coefficients === undefined && weights.length === 1 && weights[0] === 1) return known[0].branch;
      const branches = known.map(({ branch }) => branch);
      const tensor = held.hold(
        coefficients === undefined
          ? await weightedSum(device, branches, weights)
          : await mendedSum(device, parts, coefficients, block.channels, evaluation),
      );
      passing.push(tensor);
      return tensor;
    },
    async computed(block, { branch, input }, { index }) {
      const values = kept.get(block.id) ?? [];
      const [oldest] = values.splice(0, values.length + 1 - history);
      kept.set(block.id, [
        ...values,
        {
          time: times[index],
          branch: held.replace(oldest?.branch, branch),
          ...(keepsInput(block) ? { input: held.replace(oldest?.input, input) } : {}),
        },
      ]);
      return undefined;
    },
    executed({ id }, how, { index }) {
      const record = how === "computed" ? computedAt : reusedAt;
      record.set(id, [...(record.get(id) ?? []), index]);
    },
    async evaluated() {
      releasePassing();
    },
    end: releaseAll,
  };
}

async function checkFit(
  schedule: Schedule,
  pipeline: Pipeline,
  { solver }: SamplingPlan,
  allow: readonly ScheduleMismatch[],
): Promise<void> {
  const { timesteps } = schedule;
  if (timesteps.length !== solver.timesteps.length) {
    throw new ArgumentError(
      `schedule: made for ${timesteps.length} network evaluations, and this run has ${solver.timesteps.length} — sample with steps: ${schedule.num_inference_steps}, or find a schedule for this number`,
    );
  }
  const known = new Set(pipeline.network.blocks.map(({ id }) => id));
  const unknown = Object.keys(schedule.blocks).find((id) => !known.has(id));
  if (unknown !== undefined)
    throw new ArgumentError(
      `schedule: blocks.${unknown}: the model has no such block — \`blockcache inspect\` lists them`,
    );
  if (!allow.includes("solver")) {
    if (schedule.solver !== solver.name)
      throw new ArgumentError(
        `schedule: made for solver ${schedule.solver}, and this run has ${solver.name} — sample with that solver, or allow: ["solver"]`,
      );
    const other = timesteps.findIndex((timestep, index) => timestep !== solver.timesteps[index]);
    if (other !== -1)
      throw new ArgumentError(
        `schedule: timesteps.${other} is ${timesteps[other]}, and this run's is ${solver.timesteps[other]} — sample with the same scheduler config, or allow: ["solver"]`,
      );
    // Keys that the schedule does not have came with a later version of the library.
    const key = Object.keys(schedule.solver_config ?? {}).find(
      (each) => JSON.stringify(schedule.solver_config?.[each]) !== JSON.stringify(solver.config[each]),
    );
    if (key !== undefined)
      throw new ArgumentError(
        `schedule: solver_config.${key} is ${JSON.stringify(schedule.solver_config?.[key])}, and this run's is ${JSON.stringify(solver.config[key])} — sample with that configuration, or allow: ["solver"]`,
      );
  }
  if (allow.includes("model")) return;
  const fingerprint = await pipeline.fingerprint();
  if (schedule.model.fingerprint !== fingerprint) {
    throw new ArgumentError(
      `schedule: made for the model ${schedule.model.name} (${schedule.model.fingerprint.slice(0, 19)}…), and this is ${pipeline.name} (${fingerprint.slice(0, 19)}…) — profile this model, or allow: ["model"]`,
    );
  }
}
