/** How certain a number measured on a set is: the bootstrap over pictures, or over the prompts that they belong to. */
import { ArgumentError } from "../../errors.js";
import { quantileOf } from "../../instrument/profile/statistics.js";
import { MersenneTwister } from "../../numerics/mersenneTwister.js";

/** The ends of a 95 % interval. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** The default number of resamplings. */
export const RESAMPLES = 400;

export interface ResamplingOptions {
  /** rows that are drawn together, as the pictures of one prompt are. Default: each on its own */
  readonly groups?: readonly (readonly number[])[];
  /**
   * how often the bootstrap resamples; with 0 the interval is NaN, and the extrapolation of Fréchet distances is left
   * out. Default: 400
   */
  readonly resamples?: number;
}

/**
 * Rows drawn with replacement, one list per resampling. Sets with the same grouping draw the same rows, so that numbers
 * measured on several settings' pictures stay paired.
 *
 * @param seed Default: 0
 */
export function* resamplings(
  groups: readonly (readonly number[])[],
  resamples: number = RESAMPLES,
  seed = 0,
): Generator<number[]> {
  if (groups.length === 0) throw new ArgumentError("bootstrap: expected one group of pictures or more, found none");
  const generator = new MersenneTwister(seed);
  for (let resample = 0; resample < resamples; resample++)
    yield groups.flatMap(() => groups[generator.uint32() % groups.length]);
}

/** Each row on its own. */
export function eachRow(rows: number): number[][] {
  return Array.from({ length: rows }, (_, row) => [row]);
}

/** Groups of rows with equal keys, in the order of each group's first row. */
export function groupedBy(keys: readonly string[]): number[][] {
  const groups = new Map<string, number[]>();
  keys.forEach((key, row) => groups.set(key, [...(groups.get(key) ?? []), row]));
  return [...groups.values()];
}

/**
 * The basic (pivotal) 95 % interval, [2θ − q(0.975), 2θ − q(0.025)] (Davison & Hinkley 1997, section 5.2), quantiles
 * linear as numpy's. It corrects what resampling adds to a statistic that grows when fewer pictures are distinct, as
 * the Fréchet distance does; a percentile interval would not even contain the value itself.
 */
export function basicInterval(value: number, replicates: readonly number[]): Interval {
  if (replicates.length === 0) return { low: NaN, high: NaN };
  return {
    low: 2 * value - quantileOf(replicates, 0.975),
    high: 2 * value - quantileOf(replicates, 0.025),
  };
}
