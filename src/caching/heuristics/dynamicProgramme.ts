import type { Profile } from "../../instrument/profile/profile.js";
import { predictSeconds } from "../costs/predictSeconds.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { budgetRecord, secondsOf, unreachable } from "./budget.js";
import type { Budget } from "./budget.js";
import { greedyBlocks } from "./greedy.js";
import { cacheableBlocks, cacheableRecord } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";
import { blockLifetimes, totalsOf } from "./lifetimes.js";
import type { BlockLifetimes } from "./lifetimes.js";

export interface DynamicProgrammeOptions extends Cacheable, Budget {}

/** When every block computes, with the change missed and the seconds taken in all. */
interface Plan {
  readonly computed: readonly (readonly number[])[];
  readonly missed: number;
  readonly seconds: number;
}

/** Rounds of the search for λ, upwards by a factor and then halving. */
const ROUNDS = 60;
const FACTOR = 16;

/**
 * The least missed change (lifetimes.ts) within a budget of seconds that all blocks share. With a multiplier λ on
 * seconds the blocks become independent, and the best lifetimes of each are a shortest path, found exactly; bisection
 * finds the smallest λ whose schedule is fast enough.
 *
 * Then blocks take their lifetimes from the next slower schedule as far as the budget allows. Greedy's schedule is
 * taken instead where it misses less within the budget (when that falls between two schedules of the convex hull), or
 * where it alone is within it (when blocks save time by leaving others unread). `heuristic` records λ, the missed
 * change, and `gap`: at most how much less an exact optimum could miss (the dual bound, with the time that unread
 * stages save taken from this schedule).
 *
 * Source: Everett 1963, "Generalized Lagrange multiplier method"; applied to the paper's change curves.
 *
 * @throws ArgumentError where no schedule of these blocks is within the budget
 */
export function dynamicProgramme(profile: Profile, options: DynamicProgrammeOptions): Schedule {
  const { costs, reuse } = options;
  const { timesteps } = profile.setting;
  const allowed = secondsOf(options, timesteps);
  const lifetimes = blockLifetimes(profile, cacheableBlocks(profile, options), options);
  const planAt = (multiplier: number): Plan =>
    planOf(
      lifetimes,
      lifetimes.map((block) => bestLifetimes(block, timesteps.length, multiplier)),
      timesteps.length,
    );
  const blocksOf = ({ computed }: Plan): Record<string, readonly number[]> =>
    Object.fromEntries(lifetimes.map(({ id }, block) => [id, computed[block]]));
  const predicted = (plan: Plan): number => predictSeconds(costs, { timesteps, blocks: blocksOf(plan) }, reuse);

  let [low, high] = [0, 0];
  let slower = planAt(0);
  let faster = slower;
  for (let round = 0; round < ROUNDS && predicted(faster) > allowed; round++) {
    [low, slower] = [high, faster];
    high = FACTOR * Math.max(high, 1 / FACTOR);
    faster = planAt(high);
  }
  const fastest = predicted(faster);
  for (let round = 0; round < ROUNDS && high > low && fastest <= allowed; round++) {
    const middle = (low + high) / 2;
    const between = planAt(middle);
    if (predicted(between) <= allowed) [high, faster] = [middle, between];
    else [low, slower] = [middle, between];
  }

  const greedily = greedyBlocks(profile, options);
  if (Math.min(fastest, greedily.seconds) > allowed)
    throw unreachable(options, timesteps, Math.min(fastest, greedily.seconds));
  const rival = planOf(
    lifetimes,
    lifetimes.map(({ id }) => greedily.blocks[id]),
    timesteps.length,
  );
  let best = fill(faster, slower, (computed) => {
    const plan = planOf(lifetimes, computed, timesteps.length);
    return predicted(plan) <= allowed ? plan : undefined;
  });
  if (greedily.seconds <= allowed && (fastest > allowed || rival.missed < best.missed)) best = rival;

  const budget = best.seconds + (allowed - predicted(best));
  const bound = Math.max(
    ...(
      [
        [low, slower],
        [high, faster],
      ] as const
    ).map(([multiplier, { missed, seconds }]) => missed + multiplier * (seconds - budget)),
  );
  const record = { lambda: high, missed: best.missed, gap: Math.max(0, best.missed - Math.max(0, bound)) };
  return createSchedule(
    profile,
    { name: "dynamic-programme", ...budgetRecord(options), ...record, ...cacheableRecord(options) },
    blocksOf(best),
  );
}

/**
 * The evaluations at which a block computes so that missed + multiplier · seconds is least: the shortest
 * path from evaluation 0 to the end over all lifetimes. Among equals, the fewest and longest lifetimes.
 */
export function bestLifetimes({ missed, seconds }: BlockLifetimes, evaluations: number, multiplier: number): number[] {
  const least = new Float64Array(evaluations + 1).fill(Infinity);
  const cameFrom = new Int32Array(evaluations + 1);
  least[0] = 0;
  for (let to = 1; to <= evaluations; to++) {
    for (let from = 0; from < to; from++) {
      const objective = least[from] + missed(from, to) + multiplier * seconds(from, to);
      if (objective >= least[to]) continue;
      least[to] = objective;
      cameFrom[to] = from;
    }
  }
  const computed: number[] = [];
  for (let to = evaluations; to > 0; to = cameFrom[to]) computed.unshift(cameFrom[to]);
  return computed;
}

function planOf(lifetimes: readonly BlockLifetimes[], computed: Plan["computed"], evaluations: number): Plan {
  const totals = lifetimes.map((block, index) => totalsOf(block, computed[index], evaluations));
  return {
    computed,
    missed: totals.reduce((sum, { missed }) => sum + missed, 0),
    seconds: totals.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** The faster plan, with the slower one's lifetimes for as many blocks as `within` lets pass. */
function fill(faster: Plan, slower: Plan, within: (computed: Plan["computed"]) => Plan | undefined): Plan {
  let best = faster;
  slower.computed.forEach((computed, block) => {
    if (computed.join() === best.computed[block].join()) return;
    const filled = within(best.computed.map((each, index) => (index === block ? computed : each)));
    if (filled !== undefined && filled.missed < best.missed) best = filled;
  });
  return best;
}
