/** A plan is what a person decides about a schedule; the schedule follows from it and what was measured. */
import type { Costs } from "../caching/costs/costs.js";
import { predictSeconds } from "../caching/costs/predictSeconds.js";
import { askHeuristic } from "../caching/heuristics/askHeuristic.js";
import { CACHEABLE_KINDS } from "../caching/heuristics/heuristic.js";
import { HEURISTICS, heuristicNamed } from "../caching/heuristics/registry.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import { withinBudget } from "../caching/heuristics/search.js";
import { peakCacheBytes } from "../caching/run/executionPlan.js";
import type { Mending } from "../caching/run/executionPlan.js";
import { REUSE_RULES, reuseRule } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { computeEnds, limitAge } from "../caching/schedule/edits.js";
import { paint } from "../caching/schedule/paint.js";
import type { PaintedCells } from "../caching/schedule/paint.js";
import { scheduleOf } from "../caching/schedule/createSchedule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { BlockKind } from "../graphs/block.js";
import type { Profile } from "../instrument/profile/profile.js";

export interface Plan {
  /** name of the heuristic; unused while there is an `imported` schedule */
  readonly heuristic: string;
  /** its options by name, including the one that tunes it */
  readonly options: Readonly<Record<string, number | string>>;
  /** tunes the heuristic to a predicted speed-up, instead of giving the option that tunes it */
  readonly speedup?: number;
  /** kinds of block that it may cache */
  readonly kinds: readonly BlockKind[];
  /** name of the reuse rule */
  readonly reuse: string;
  /** whether stand-ins are corrected by the loaded adjustment, if that was fitted for this schedule and rule */
  readonly adjusted?: boolean;
  /** the window in which anything is reused: this many evaluations at either end compute */
  readonly ends: { readonly first: number; readonly last: number };
  /** for how many evaluations in a row a block may reuse, at most */
  readonly maxAge?: number;
  /** what was painted by hand; it stays, whatever the heuristic says */
  readonly cells: PaintedCells;
  /** a schedule from a file, instead of the heuristic's */
  readonly imported?: Schedule;
}

/** What planning needs of a model and a machine: both measured, both plain data. */
export interface Measurements {
  readonly profile: Profile;
  readonly costs: Costs;
}

/** The paper's rule and kinds of block. */
export const FIRST_PLAN: Plan = {
  heuristic: "threshold",
  options: { delta: 0.2 },
  kinds: ["transformer"],
  reuse: "hold",
  ends: { first: 1, last: 0 },
  cells: {},
};

/** Whether the library alone finds a plan's schedule: neither its heuristic nor its reuse rule is a user's own. */
export function isOfLibrary({ heuristic, reuse, imported }: Plan): boolean {
  return (
    imported !== undefined ||
    (HEURISTICS.some(({ name }) => name === heuristic) && REUSE_RULES.some(({ name }) => name === reuse))
  );
}

/**
 * The schedule of a plan: the heuristic's, with its ends and ages limited, and last the cells painted by hand. Cells of
 * blocks or evaluations that the measured model does not have wait for one that has them.
 *
 * @param heuristic the one that the plan names, where it is a user's own
 * @throws ArgumentError where the heuristic does, or an imported schedule is for other evaluations
 */
export function planSchedule(
  plan: Plan,
  { profile, costs }: Measurements,
  heuristic: NamedHeuristic | undefined = plan.imported === undefined ? heuristicNamed(plan.heuristic) : undefined,
): Schedule {
  const found =
    plan.imported ?? (heuristic === undefined ? nothingReused(profile) : find(plan, heuristic, profile, costs));
  const { first, last } = plan.ends;
  const ended = first > 1 || last > 0 ? computeEnds(found, { first, last }) : found;
  const aged = plan.maxAge === undefined ? ended : limitAge(ended, plan.maxAge);
  return paint(aged, cellsOf(plan.cells, profile, aged.timesteps.length));
}

function find(plan: Plan, heuristic: NamedHeuristic, profile: Profile, costs: Costs): Schedule {
  const reuse = reuseRule(plan.reuse);
  const options = { ...plan.options, kinds: plan.kinds, costs, reuse };
  if (plan.speedup === undefined) return askHeuristic(heuristic.find, profile, options, heuristic.name);
  return withinBudget(heuristic, profile, { costs, reuse, speedup: plan.speedup }, options);
}

/** Every cell computes: what a plan without a heuristic starts from. */
function nothingReused(profile: Profile): Schedule {
  return scheduleOf(profile.setting, { heuristic: { name: "none" }, blocks: {} });
}

function cellsOf(cells: PaintedCells, profile: Profile, evaluations: number): PaintedCells {
  const known = new Set(profile.blocks.map(({ id }) => id));
  return Object.fromEntries(
    Object.entries(cells)
      .filter(([id]) => known.has(id))
      .map(([id, marks]) => [
        id,
        Object.fromEntries(Object.entries(marks).filter(([evaluation]) => Number(evaluation) < evaluations)),
      ]),
  );
}

/** What a schedule will cost, before any image is made. */
export interface Prediction {
  readonly seconds: number;
  readonly plainSeconds: number;
  readonly speedup: number;
  /** the most bytes that the cache holds */
  readonly cacheBytes: number;
  /** share of the scheduled blocks' cells that compute, 0 to 1 */
  readonly computedShare: number;
}

/**
 * Predicted seconds, speed-up and cache memory of a schedule under a reuse rule.
 *
 * @param mending what an adjustment keeps beside the rule's values, where one mends the run
 */
export function predictPlan(
  costs: Costs,
  schedule: Schedule,
  reuse: Pick<ReuseRule, "history">,
  mending?: Mending,
): Prediction {
  const seconds = predictSeconds(costs, schedule, reuse);
  const plainSeconds = predictSeconds(costs, { ...schedule, blocks: {} });
  return {
    seconds,
    plainSeconds,
    speedup: plainSeconds / seconds,
    cacheBytes: peakCacheBytes(costs.network, schedule, costs.setting.rows, reuse, mending),
    computedShare: computedShare(schedule),
  };
}

/** The kinds that a plan may cache, in the order in which they are shown. */
export const PLANNED_KINDS: readonly BlockKind[] = [...CACHEABLE_KINDS, "conv_in", "conv_out"];
