/** Finds the value of a heuristic's swept parameter whose schedule is fast enough. */
import type { Profile } from "../../instrument/profile/profile.js";
import { predictSeconds } from "../costs/predictSeconds.js";
import { hold } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { secondsOf, unreachable } from "./budget.js";
import type { Budget } from "./budget.js";
import type { NamedHeuristic, NamedOptions } from "./registry.js";

/** Halvings of the search: finer than any profile's values. */
const HALVINGS = 50;

/**
 * A heuristic's schedule within a budget, at the least value of its swept parameter that the search finds:
 * bisection between a value that is too slow and one that is fast enough.
 *
 * @throws ArgumentError where no value reaches it; the message names the fastest
 */
export function withinBudget(
  heuristic: NamedHeuristic,
  profile: Profile,
  budget: Budget,
  options: NamedOptions = {},
): Schedule {
  const { costs, reuse = hold } = budget;
  const allowed = secondsOf(budget, profile.setting.timesteps);
  const {
    find,
    parameter,
    bounds: [least, greatest],
    integer,
  } = heuristic;
  const scheduleAt = (value: number): Schedule => find(profile, { ...options, costs, reuse, [parameter]: value });
  const isFast = (schedule: Schedule): boolean => predictSeconds(costs, schedule, reuse) <= allowed;

  // Planning within a budget is then the heuristic's own work.
  if (parameter === "speedup")
    return scheduleAt(predictSeconds(costs, { timesteps: profile.setting.timesteps, blocks: {} }) / allowed);

  let low = least;
  const slowest = scheduleAt(low);
  if (isFast(slowest)) return slowest;
  let high = Math.min(greatest, Math.max(1, 2 * least));
  let found = scheduleAt(high);
  while (!isFast(found)) {
    if (high >= greatest || high > Number.MAX_SAFE_INTEGER)
      throw unreachable(budget, profile.setting.timesteps, predictSeconds(costs, found, reuse));
    low = high;
    high = Math.min(greatest, 2 * high);
    found = scheduleAt(high);
  }
  for (let halving = 0; halving < HALVINGS && (integer ? high - low > 1 : high > low); halving++) {
    const middle = integer ? Math.floor((low + high) / 2) : (low + high) / 2;
    const between = scheduleAt(middle);
    if (isFast(between)) [high, found] = [middle, between];
    else low = middle;
  }
  return found;
}
