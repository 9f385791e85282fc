/** Sampling by a schedule: where a block does not compute, its branch is not run. */
import { ArgumentError } from "../../errors.js";
import { evaluationTimes } from "../../diffusion/evaluationTimes.js";
import type { EvaluationTime } from "../../diffusion/evaluationTimes.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook, SamplingPlan } from "../../diffusion/samplingPlan.js";
import type { Device } from "../../engine/device.js";
import { HeldTensors } from "../../engine/heldTensors.js";
import type { DeviceTensor } from "../../engine/session.js";
import { executionPlan } from "./executionPlan.js";
import { hold, weightsOf } from "./reuseRule.js";
import type { ReuseRule } from "./reuseRule.js";
import { checkSchedule } from "../schedule/checkSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { weightedSum } from "./weightedSum.js";

export interface CachedRunOptions {
  /** what stands in for C. Default: hold, as in the paper */
  readonly reuse?: ReuseRule;
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
}

/**
 * Caches by a schedule (paper section 3.2). Give it to one sampling at a time:
 * `generate(pipeline, { prompt, steps: 20, hooks: [cachedRun(schedule)] })`.
 *
 * @throws ArgumentError for what is no schedule; when sampling starts, where the schedule is for another model, solver
 *   or number of steps, or names a block that the model does not have; during sampling, where the rule gives other than
 *   a finite weight for each kept value
 */
export function cachedRun(given: Schedule, { reuse = hold, allow = [] }: CachedRunOptions = {}): CachedRun {
  const schedule = checkSchedule(given);
  const { history } = reuse;
  const plan = executionPlan(schedule, reuse);
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
    for (const values of kept.values()) for (const { branch } of values) held.release(branch);
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
    async standIn({ id }, { index }) {
      const values = kept.get(id);
      if (device === undefined || values === undefined)
        throw new TypeError(`${id}: reused at evaluation ${index} before it was computed`);
      const weights = weightsOf(
        reuse,
        id,
        values.map(({ time }) => time),
        times[index],
      );
      if (weights.length === 1 && weights[0] === 1) return values[0].branch;
      const tensor = held.hold(
        await weightedSum(
          device,
          values.map(({ branch }) => branch),
          weights,
        ),
      );
      passing.push(tensor);
      return tensor;
    },
    async computed({ id }, { branch }, { index }) {
      const values = kept.get(id) ?? [];
      const [oldest] = values.splice(0, values.length + 1 - history);
      kept.set(id, [...values, { time: times[index], branch: held.replace(oldest?.branch, branch) }]);
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
    // Keys that the schedule does not have came with a later version of the library.
    const key = Object.keys(schedule.solver_config ?? {}).find(
      (each) => JSON.stringify(schedule.solver_config?.[each]) !== JSON.stringify(solver.config[each]),
    );
    if (key !== undefined) {
      const [made, found] = [schedule.solver_config, solver.config].map((config) => JSON.stringify(config?.[key]));
      throw new ArgumentError(
        `schedule: solver_config.${key} is ${made}, and this run's is ${found} — sample with schedulerConfig: { ${key}: ${made} } (--scheduler-config ${key}=${made}; of a sweep, in the profile that it is given), or allow: ["solver"]`,
      );
    }
    const other = timesteps.findIndex((timestep, index) => timestep !== solver.timesteps[index]);
    if (other !== -1)
      throw new ArgumentError(
        `schedule: timesteps.${other} is ${timesteps[other]}, and this run's is ${solver.timesteps[other]} — sample with the same scheduler config, or allow: ["solver"]`,
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
