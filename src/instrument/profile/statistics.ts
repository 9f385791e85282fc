import { NotFiniteError } from "../../errors.js";
import type { Measure, Profile, ProfiledBlock } from "./profile.js";

/** A block's measure over the trajectories of a profile, one entry for each step. */
export interface BlockStatistics {
  readonly block: ProfiledBlock;
  readonly mean: Float64Array;
  /** over trajectories, with n − 1 in the denominator; 0 for a single one */
  readonly standardDeviation: Float64Array;
}

/** The sum ÷ the number of values; NaN where there are none. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The middle value; the mean of the two middle ones where there is an even number. */
export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The q-quantile, linear between the two nearest values, as numpy.quantile; 0 where there are none. */
export function quantileOf(values: ArrayLike<number>, q: number): number {
  if (values.length === 0) return 0;
  const sorted = Float64Array.from(values).sort();
  const position = q * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}

/**
 * Mean and standard deviation over all prompts and seeds (the mean of the ratios, as in the paper).
 *
 * @throws NotFiniteError where the profile holds NaN: a sum with it exceeds no threshold, and heuristics would reuse
 *   for ever
 */
export function summarise(profile: Profile, measure: Measure = "change"): BlockStatistics[] {
  const steps = profile.setting.timesteps.length;
  const trajectories = profile.trajectories.length;
  const values = profile.values[measure] ?? {};
  return profile.blocks
    .filter((block) => block.id in values)
    .map((block) => {
      const rows = values[block.id];
      if (rows.some(Number.isNaN))
        throw new NotFiniteError(`profile: ${measure} of ${block.id}: expected numbers, found NaN — measure it again`);
      const mean = new Float64Array(steps);
      const standardDeviation = new Float64Array(steps);
      for (let step = 0; step < steps; step++) {
        let sum = 0;
        for (let row = 0; row < trajectories; row++) sum += rows[row * steps + step];
        mean[step] = sum / trajectories;
        let squares = 0;
        for (let row = 0; row < trajectories; row++) squares += (rows[row * steps + step] - mean[step]) ** 2;
        standardDeviation[step] = trajectories > 1 ? Math.sqrt(squares / (trajectories - 1)) : 0;
      }
      return { block, mean, standardDeviation };
    });
}
