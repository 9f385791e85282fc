/**
 * What a cache's lifetime costs a block: the change it misses and the seconds it takes. Heuristics with a
 * budget choose lifetimes, each from one computing evaluation up to the next.
 */
import type { Profile, ProfiledBlock } from "../../instrument/profile/profile.js";
import { summarise } from "../../instrument/profile/statistics.js";
import { fitsOf, mendedError, requireFitsOf } from "../adjustment/reuseFits.js";
import type { ReuseFits } from "../adjustment/reuseFits.js";
import { pricesOf } from "../costs/predictSeconds.js";
import { hold } from "../run/reuseRule.js";
import type { Budget } from "./budget.js";

export interface BlockLifetimes {
  readonly id: string;
  /**
   * Missed change of a cache filled at `from` and next filled at `to`: each reusing evaluation t between
   * them counts all the change since it was filled, Σ_{from < t < to} Σ_{from < u ≤ t} L1rel(u), with
   * the mean L1rel over trajectories. With fits, Σ_{from < t < to} of what they leave of the reuse's error.
   */
  missed(from: number, to: number): number;
  /** predicted seconds of the evaluations from `from` to before `to`: the first computes, the others reuse */
  seconds(from: number, to: number): number;
}

/** The costs of each block's lifetimes. A block's seconds are its own: what its reuse leaves unread is not counted. */
export function blockLifetimes(
  profile: Profile,
  blocks: readonly ProfiledBlock[],
  { costs, reuse = hold, fits }: Budget,
): readonly BlockLifetimes[] {
  if (fits !== undefined) requireFitsOf(fits, profile.setting);
  const prices = pricesOf(costs);
  const change = new Map(summarise(profile).map(({ block, mean }) => [block.id, mean]));
  return blocks.map(({ id }) => {
    const mean = change.get(id) ?? new Float64Array(profile.setting.timesteps.length);
    const [compute, keep, reused] = [prices.of(id, "compute"), prices.of(id, "keep"), prices.of(id, reuse.history)];
    return {
      id,
      missed: fits === undefined ? missedChange(mean) : mendedLifetimes(fits, id),
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

/** What mended lifetimes miss: `BlockLifetimes.missed`. */
function mendedLifetimes(fits: ReuseFits, id: string): BlockLifetimes["missed"] {
  const block = fitsOf(fits, id);
  const evaluations = fits.setting.timesteps.length;
  // sums[from][t] = Σ_{from < u ≤ t} error(u)
  const sums = Array.from({ length: evaluations }, (_, from) => {
    let sum = 0;
    return Float64Array.from({ length: evaluations }, (__, t) =>
      t <= from ? 0 : (sum += mendedError(block, fits.window, t, t - from)),
    );
  });
  return (from, to) => sums[from][to - 1];
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
