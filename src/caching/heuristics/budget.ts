/** How fast a sampling is to be, for heuristics that take a budget and for the search for a parameter. */
import { ArgumentError } from "../../errors.js";
import type { ReuseFits } from "../adjustment/reuseFits.js";
import type { Costs } from "../costs/costs.js";
import { predictSeconds } from "../costs/predictSeconds.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";

/** Either `speedup` or `seconds`, as predicted from costs. */
export interface Budget {
  readonly costs: Costs;
  /** at least this many times faster than the plain run */
  readonly speedup?: number;
  /** at most this many seconds per sampling, decoding left out */
  readonly seconds?: number;
  /** the reuse rule that the run will use; its sums cost time. Default: hold */
  readonly reuse?: Pick<ReuseRule, "history">;
  /** the run will be adjusted: what these fits leave of a reuse's error counts, instead of the change that it misses */
  readonly fits?: ReuseFits;
}

/**
 * The seconds that a budget allows. Throws ArgumentError where costs are missing, or not exactly one of speedup and
 * seconds is given, or it is not above 0.
 */
export function secondsOf({ costs, speedup, seconds }: Budget, timesteps: readonly number[]): number {
  // Options that are given by name are not type-checked.
  if (costs === undefined)
    throw new ArgumentError(
      "costs: expected costs measured on this machine, found none — measureCosts (`blockcache costs <model> --out costs.safetensors`)",
    );
  if ((speedup === undefined) === (seconds === undefined))
    throw new ArgumentError("budget: expected speedup or seconds, one of them");
  const [name, value] = speedup === undefined ? (["seconds", seconds] as const) : (["speedup", speedup] as const);
  if (!(Number(value) > 0)) throw new ArgumentError(`${name}: expected a number above 0, found ${value}`);
  return seconds ?? predictSeconds(costs, { timesteps, blocks: {} }) / Number(speedup);
}

/** What a schedule records of its budget. */
export function budgetRecord({
  speedup,
  seconds,
  reuse = hold,
  costs,
  fits,
}: Budget): Readonly<Record<string, unknown>> {
  const { device, rows } = costs.setting;
  return {
    ...(speedup === undefined ? { seconds } : { speedup }),
    history: reuse.history,
    costs: { device, rows },
    ...(fits === undefined ? {} : { fits: { window: fits.window, trajectories: fits.trajectories.length } }),
  };
}

/** The error for a budget that the fastest schedule does not meet. */
export function unreachable(
  { costs, speedup, seconds }: Budget,
  timesteps: readonly number[],
  fastest: number,
): ArgumentError {
  const plain = predictSeconds(costs, { timesteps, blocks: {} });
  const hint = "allow more kinds of block";
  if (speedup !== undefined)
    return new ArgumentError(
      `speedup: expected at most ${(plain / fastest).toFixed(3)}, the ceiling of these blocks on this machine, found ${speedup} — ${hint}`,
    );
  return new ArgumentError(
    `seconds: expected at least ${fastest.toPrecision(4)}, what these blocks take on this machine when reused throughout, found ${seconds} — ${hint}`,
  );
}
