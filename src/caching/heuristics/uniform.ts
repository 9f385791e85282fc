import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { cacheableBlocks, cacheableRecord, computeWhen } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";

export interface UniformOptions extends Cacheable {
  /** a block computes once in this many evaluations; 1 computes everywhere */
  readonly interval: number;
}

/** Every block at one fixed interval: DeepCache's and FORA's schedule, and the baseline of the others. */
export function uniform(profile: Profile, options: UniformOptions): Schedule {
  const { interval } = options;
  const computes = everyInterval(interval);
  const blocks = computeWhen(profile, cacheableBlocks(profile, options), (_, evaluation) => computes(evaluation));
  return createSchedule(profile, { name: "uniform", interval, ...cacheableRecord(options) }, blocks);
}

/**
 * Whether a network evaluation computes at an interval, from the first on. Throws ArgumentError where the interval is
 * not a positive integer.
 */
export function everyInterval(interval: number): (evaluation: number) => boolean {
  if (!Number.isInteger(interval) || interval < 1)
    throw new ArgumentError(`interval: expected an integer of 1 or more, found ${interval}`);
  return (evaluation) => evaluation % interval === 0;
}
