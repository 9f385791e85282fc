import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { cacheableBlocks, cacheableRecord, computeWhen } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";
import { pairDistance } from "./pairDistance.js";

export interface DirectOptions extends Cacheable {
  /** how far C may be from the kept one, in relative L1 */
  readonly delta: number;
}

/**
 * A block computes as soon as its C would be further than δ from the one it keeps, or the kept one is older
 * than the profile's window. Where the paper adds up the change of every step in between, this measures
 * from where the cache was filled: changes that undo each other do not count.
 *
 * Source: the error bound of the paper's Eq. 7 without its triangle inequality; our own.
 */
export function direct(profile: Profile, options: DirectOptions): Schedule {
  const { delta } = options;
  if (typeof delta !== "number" || !(delta >= 0)) throw new ArgumentError(`delta: expected 0 or more, found ${delta}`);
  const distance = pairDistance(profile);
  const computedAt = new Map<string, number>();
  const blocks = computeWhen(profile, cacheableBlocks(profile, options), ({ id }, evaluation) => {
    const age = evaluation - (computedAt.get(id) ?? 0);
    const computes = age > distance.window || distance.of(id, evaluation, age) > delta;
    if (computes) computedAt.set(id, evaluation);
    return computes;
  });
  return createSchedule(profile, { name: "direct", delta, ...cacheableRecord(options) }, blocks);
}
