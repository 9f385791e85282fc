import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { summarise } from "../../instrument/profile/statistics.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { cacheableBlocks, cacheableRecord, computeWhen } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";

export interface ThresholdOptions extends Cacheable {
  /** δ: how much accumulated change a cache may have missed. 0 computes wherever there is change. */
  readonly delta: number;
}

/**
 * The paper's automatic schedule (section 3.2, Eq. 7), with the mean L1rel over trajectories (Eq. 6).
 *
 * Computed at t_a, a block keeps its cache while Σ L1rel(i, t), t_a < t ≤ t_b, is at most δ; the first
 * step whose sum would be greater computes. The paper writes the sum from t_a to t_b − 1 in its own,
 * descending, count of t; in sampling order it is the changes that the cache has missed.
 */
export function threshold(profile: Profile, options: ThresholdOptions): Schedule {
  const { delta } = options;
  if (typeof delta !== "number" || !(delta >= 0)) throw new ArgumentError(`delta: expected 0 or more, found ${delta}`);
  const change = new Map(summarise(profile, "change").map(({ block, mean }) => [block.id, mean]));
  const missed = new Map<string, number>();
  const blocks = computeWhen(profile, cacheableBlocks(profile, options), ({ id }, evaluation) => {
    const sum = (missed.get(id) ?? 0) + (change.get(id)?.[evaluation] ?? 0);
    const computes = sum > delta;
    missed.set(id, computes ? 0 : sum);
    return computes;
  });
  return createSchedule(profile, { name: "threshold", delta, ...cacheableRecord(options) }, blocks);
}
