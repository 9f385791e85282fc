/** Sampling by a schedule: where a block does not compute, its branch is not run. */
import { ArgumentError } from "../../errors.js";
import { evaluationTimes } from "../../diffusion/evaluationTimes.js";
import type { EvaluationTime } from "../../diffusion/evaluationTimes.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { SampledEvaluations, SampledModel } from "../../diffusion/samplingHook.js";
import { KeptBranches } from "../../engine/keptBranches.js";
import type { StandIn } from "../../engine/network/standIn.js";
import type { Block } from "../../graphs/block.js";
import { historyOf, requireFitsSchedule, termsOf } from "../adjustment/adjustment.js";
import type { Adjustment } from "../adjustment/adjustment.js";
import { adjustmentMender } from "./adjustmentMender.js";
import { executionPlan } from "./executionPlan.js";
import { followsInput, mendedSum } from "./mendedSum.js";
import type { Mender, StandInParts } from "./mendedSum.js";
import { hold, weightsOf } from "./reuseRule.js";
import type { ReuseRule } from "./reuseRule.js";
import { checkSchedule } from "../schedule/checkSchedule.js";
import type { Schedule } from "../schedule/schedule.js";

export interface CachedRunOptions {
  /** what stands in for C. Default: hold, as in the paper */
  readonly reuse?: ReuseRule;
  /** corrects what stands in for C; must be fitted for this schedule and rule. Default: none */
  readonly adjustment?: Adjustment;
  /** Mismatches between schedule and run that are tolerated. Default: none */
  readonly allow?: readonly ScheduleMismatch[];
}

/**
 * `model`: another fingerprint; `solver`: another solver, another configuration of it, or as many timesteps but
 * different ones
 */
export type ScheduleMismatch = "model" | "solver";

/** A sampling hook that reuses, and what it did in its last run. */
export interface CachedRun extends SamplingHook {
  /** block id → evaluations at which its branch ran; all blocks of the network, after sampling */
  readonly computedAt: ReadonlyMap<string, readonly number[]>;
  /** block id → evaluations at which a kept C took its place */
  readonly reusedAt: ReadonlyMap<string, readonly number[]>;
  /** most bytes of kept branches at any time of the run */
  readonly peakCacheBytes: number;
}

/**
 * Caches by a schedule (paper section 3.2). Give it to one sampling at a time:
 * `generate(pipeline, { prompt, steps: 20, hooks: [cachedRun(schedule)] })`.
 *
 * @throws ArgumentError where this is not a schedule; when sampling starts, where the schedule is for another model,
 *   solver
 * or number of steps, or names a block that the model does not have; during sampling, where the rule does not give one
 * finite weight for each kept value
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
  given: Schedule,
  { reuse, mender, allow = [] }: { reuse: ReuseRule; mender?: Mender; allow?: readonly ScheduleMismatch[] },
): CachedRun {
  const schedule = checkSchedule(given);
  const history = historyOf(reuse, mender?.terms ?? []);
  const plan = executionPlan(schedule, { history });
  const keepsInput = (block: Block): boolean => mender?.terms.includes("input_change") === true && followsInput(block);
  const computedAt = new Map<string, number[]>();
  const reusedAt = new Map<string, number[]>();
  let times: readonly EvaluationTime[] = [];
  let kept = new KeptBranches<EvaluationTime>(history);

  const partsOf = (id: string, index: number): StandInParts => {
    const values = kept.of(id);
    const known = values.slice(-reuse.history);
    const weights = weightsOf(
      reuse,
      id,
      known.map(({ note }) => note),
      times[index],
    );
    return { kept: values, weights };
  };
  const unmended = ({ kept: values, weights }: StandInParts): StandIn => ({
    terms: values.slice(-weights.length).map(({ branch }, term) => ({ tensor: branch, weight: weights[term] })),
  });

  return {
    computedAt,
    reusedAt,
    get peakCacheBytes() {
      return kept.peakBytes;
    },
    async begin(model, evaluations) {
      if (evaluations === undefined) throw new TypeError("cachedRun: expected a sampling, found a single evaluation");
      await checkFit(schedule, model, evaluations, allow);
      kept.clear();
      kept = new KeptBranches(history);
      computedAt.clear();
      reusedAt.clear();
      times = evaluationTimes(evaluations.solver);
    },
    answer(block, evaluation) {
      const { id, channels } = block;
      const { index } = evaluation;
      const action = plan.get(id)?.[index] ?? "compute";
      if (action === "compute") return "compute";
      if (action === "keep") return { look: keepsInput(block) ? ["branch", "input"] : ["branch"] };
      const parts = partsOf(id, index);
      if (mender === undefined) return { standIn: unmended(parts) };
      return {
        async standIn(input) {
          const coefficients = await mender.coefficients(block, evaluation, { ...parts, input });
          if (coefficients === undefined) return unmended(parts);
          return mendedSum({ ...parts, input }, coefficients, channels, evaluation);
        },
      };
    },
    async look({ id }, { branch, input }, { index }) {
      if (branch !== undefined) kept.keep(id, branch, times[index], input);
      return undefined;
    },
    executed({ id }, how, { index }) {
      const record = how === "computed" ? computedAt : reusedAt;
      record.set(id, [...(record.get(id) ?? []), index]);
    },
    end() {
      kept.clear();
    },
  };
}

async function checkFit(
  schedule: Schedule,
  model: SampledModel,
  { solver }: SampledEvaluations,
  allow: readonly ScheduleMismatch[],
): Promise<void> {
  const { timesteps } = schedule;
  if (timesteps.length !== solver.timesteps.length) {
    throw new ArgumentError(
      `schedule: made for ${timesteps.length} network evaluations, and this run has ${solver.timesteps.length} — sample with steps: ${schedule.num_inference_steps}, or find a schedule for this number`,
    );
  }
  const known = new Set(model.network.blocks.map(({ id }) => id));
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
    // A schedule made by hand may say some of the keys, or none.
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
  const fingerprint = await model.fingerprint();
  if (schedule.model.fingerprint !== fingerprint) {
    throw new ArgumentError(
      `schedule: made for the model ${schedule.model.name} (${schedule.model.fingerprint.slice(0, 19)}…), and this is ${model.name} (${fingerprint.slice(0, 19)}…) — profile this model, or allow: ["model"]`,
    );
  }
}
