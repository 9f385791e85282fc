import { ArgumentError } from "../errors.js";
import { MersenneTwister } from "../numerics/mersenneTwister.js";

export interface RatioInterval {
  readonly ratio: number;
  /** ends of the 95 % percentile interval */
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2000;

/**
 * mean(over) ÷ mean(under) of paired values, with the 95 % percentile bootstrap interval over the pairs
 * (Efron & Tibshirani 1993, chapter 13). The same pairs always give the same interval, because the resampling is
 * seeded.
 */
export function pairedRatio(over: readonly number[], under: readonly number[]): RatioInterval {
  if (over.length !== under.length || over.length === 0)
    throw new ArgumentError(
      `pairedRatio: expected two lists of one length, found ${over.length} and ${under.length} values`,
    );
  const generator = new MersenneTwister(0);
  const ratios = Array.from({ length: RESAMPLES }, () => {
    let [top, bottom] = [0, 0];
    for (let draw = 0; draw < over.length; draw++) {
      const pair = generator.uint32() % over.length;
      top += over[pair];
      bottom += under[pair];
    }
    return top / bottom;
  }).sort((a, b) => a - b);
  const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
  return {
    ratio: total(over) / total(under),
    low: ratios[Math.floor(0.025 * RESAMPLES)],
    high: ratios[Math.ceil(0.975 * RESAMPLES) - 1],
  };
}
