/** Finds the value of a heuristic's swept parameter whose schedule is fast enough. */
import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { predictSeconds, speedupCeiling } from "../costs/predictSeconds.js";
import { hold } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { askHeuristic } from "./askHeuristic.js";
import { secondsOf, unreachable } from "./budget.js";
import type { Budget } from "./budget.js";
import type { NamedHeuristic, NamedOptions } from "./registry.js";

/** Halvings of the search: finer than any profile's values. */
const HALVINGS = 50;
/** Where a parameter has no greatest value: after this many doublings without any change, none is expected. */
const IDLE_DOUBLINGS = 20;
/** What sums of the same seconds in another order may differ by. */
const ROUNDING = 1e-9;

/** A value of the parameter, and what the heuristic answered. */
interface Tried {
  readonly value: number;
  readonly schedule: Schedule;
  readonly seconds: number;
  readonly isFast: boolean;
}

/**
 * A heuristic's schedule within a budget: of those that the search finds fast enough, the one that computes longest,
 * at the least value of the swept parameter that gives it. The search tries the heuristic's values and bounds, and
 * halves between a value that is too slow and one that is not, whichever of them is greater.
 *
 * @returns the schedule; its heuristic's record says under `speedup` what was asked for
 * @throws ArgumentError where no value reaches it (the message names the fastest), or the heuristic has neither values
 *   nor bounds
 */
export function withinBudget(
  heuristic: NamedHeuristic,
  profile: Profile,
  budget: Budget,
  options: NamedOptions = {},
): Schedule {
  const { costs, reuse = hold, fits = options.fits } = budget;
  const { name, find, parameter } = heuristic;
  const { timesteps } = profile.setting;
  const allowed = secondsOf(budget, timesteps);
  const plain = predictSeconds(costs, { timesteps, blocks: {} });
  const asked = budget.speedup ?? plain / allowed;
  const tryAt = (value: number): Tried => {
    const schedule = askHeuristic(find, profile, { ...options, costs, reuse, fits, [parameter]: value }, name);
    const seconds = predictSeconds(costs, schedule, reuse);
    return { value, schedule, seconds, isFast: seconds <= allowed };
  };
  // A heuristic whose parameter is the speed-up plans within the budget by itself.
  const tried = parameter === "speedup" ? [tryAt(asked)] : search(heuristic, tryAt);
  const limit = parameter === "speedup" ? allowed * (1 + ROUNDING) : allowed;
  const fast = tried.filter(({ seconds }) => seconds <= limit);
  if (fast.length > 0) {
    const { schedule } = fast.reduce((best, each) => (each.seconds > best.seconds ? each : best));
    return { ...schedule, heuristic: { ...schedule.heuristic, speedup: asked } };
  }
  const fastest = tried.reduce((best, each) => (each.seconds < best.seconds ? each : best));
  const reached = plain / fastest.seconds;
  if (reached * (1 + ROUNDING) >= speedupCeiling(costs, fastest.schedule, Object.keys(fastest.schedule.blocks)))
    throw unreachable(budget, timesteps, fastest.seconds);
  throw new ArgumentError(
    `speedup: expected at most ${reached.toFixed(3)}, which the heuristic ${name} reaches at ${parameter} ${fastest.value}, found ${asked} — ${parameter === "speedup" ? "the heuristic itself should have planned for that" : "with other bounds the search tries other values"}`,
  );
}

/**
 * Everything tried, ascending: the heuristic's values and bounds, doublings where there is no greatest value, and
 * halvings where two neighbours lie on different sides of the budget.
 */
function search(
  { name, parameter, values, bounds: [least, greatest], integer }: NamedHeuristic,
  tryAt: (value: number) => Tried,
): readonly Tried[] {
  const given = [least, ...values, greatest].filter(
    (value) => Number.isFinite(value) && value >= least && value <= greatest && (!integer || Number.isInteger(value)),
  );
  if (given.length === 0)
    throw new ArgumentError(
      `heuristic ${name}: expected values of ${parameter} or bounds to search between, found none — give it values: […] or bounds: [least, greatest] (in a module: export const values, bounds)`,
    );
  const tried = [...new Set(given)].sort((a, b) => a - b).map(tryAt);
  let last = tried[tried.length - 1];
  for (let idle = 0; greatest === Infinity && idle < IDLE_DOUBLINGS && !tried.some(({ isFast }) => isFast);) {
    const next = tryAt(Math.max(1, 2 * last.value));
    idle = next.seconds === last.seconds ? idle + 1 : 0;
    tried.push((last = next));
  }
  const place = tried.findIndex(({ isFast }, index) => index > 0 && isFast !== tried[index - 1].isFast);
  return place < 0
    ? tried
    : [...tried, ...halve(tried[place - 1], tried[place], integer, tryAt)].sort((a, b) => a.value - b.value);
}

/** What is tried where the budget lies between two values. */
function halve(from: Tried, to: Tried, integer: boolean, tryAt: (value: number) => Tried): readonly Tried[] {
  const tried: Tried[] = [];
  let [low, high] = [from, to];
  for (
    let halving = 0;
    halving < HALVINGS && (integer ? high.value - low.value > 1 : high.value > low.value);
    halving++
  ) {
    const middle = integer ? Math.floor((low.value + high.value) / 2) : (low.value + high.value) / 2;
    const between = tryAt(middle);
    tried.push(between);
    if (between.isFast === low.isFast) low = between;
    else high = between;
  }
  return tried;
}
