/**
 * What a cache's lifetime costs a block: the change it misses and the seconds it takes. Heuristics with a
 * budget choose lifetimes, each from one computing evaluation up to the next.
 */
import type { Profile, ProfiledBlock } from "../../instrument/profile/profile.js";
import { summarise } from "../../instrument/profile/statistics.js";
import { pricesOf } from "../costs/predictSeconds.js";
import { hold } from "../run/reuseRule.js";
import type { Budget } from "./budget.js";

export interface BlockLifetimes {
  readonly id: string;
  /**
   * Missed change of a cache filled at `from` and next filled at `to`: each reusing evaluation t between
   * them counts all the change since it was filled, Σ_{from < t < to} Σ_{from < u ≤ t} L1rel(u), with
   * the mean L1rel over trajectories.
   */
  missed(from: number, to: number): number;
  /** predicted seconds of the evaluations from `from` to before `to`: the first computes, the others reuse */
  seconds(from: number, to: number): number;
}

/** The costs of each block's lifetimes. A block's seconds are its own: what its reuse leaves unread is not counted. */
export function blockLifetimes(
  profile: Profile,
  blocks: readonly ProfiledBlock[],
  { costs, reuse = hold }: Budget,
): readonly BlockLifetimes[] {
  const prices = pricesOf(costs);
  const change = new Map(summarise(profile).map(({ block, mean }) => [block.id, mean]));
  return blocks.map(({ id }) => {
    const mean = change.get(id) ?? new Float64Array(profile.setting.timesteps.length);
    const [compute, keep, reused] = [prices.of(id, "compute"), prices.of(id, "keep"), prices.of(id, reuse.history)];
    return {
      id,
      missed: missedChange(mean),
      seconds: (from, to) => (to - from === 1 ? compute : keep + (to - from - 1) * reused),
    };
  });
}

/** The missed change of lifetimes, from a block's change at each evaluation: `BlockLifetimes.missed`. */
export function missedChange(change: Float64Array): BlockLifetimes["missed"] {
  // sums[t] = Σ_{u ≤ t} change(u); areas[t] = Σ_{u ≤ t} sums[u]
  const sums = runningSum(change);
  const areas = runningSum(sums);
  return (from, to) => Math.max(0, areas[to - 1] - areas[from] - (to - 1 - from) * sums[from]);
}

/** Missed change and seconds of a block that computes at these evaluations. */
export function totalsOf(
  block: BlockLifetimes,
  computed: readonly number[],
  evaluations: number,
): { missed: number; seconds: number } {
  return computed.reduce(
    ({ missed, seconds }, from, place) => {
      const to = computed[place + 1] ?? evaluations;
      return { missed: missed + block.missed(from, to), seconds: seconds + block.seconds(from, to) };
    },
    { missed: 0, seconds: 0 },
  );
}

function runningSum(values: Float64Array): Float64Array {
  let sum = 0;
  return values.map((value) => (sum += value));
}
