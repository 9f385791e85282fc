import { basicInterval } from "./bootstrap.js";
import type { Interval } from "./bootstrap.js";

/** A number that a metric took of a set of pictures. */
export interface Measured {
  /** as the metric is defined */
  readonly value: number;
  /** without the bias that a set of this size brings; absent where the set is too small to tell, or `value` has none */
  readonly unbiased?: number;
  /** of each resampling; the same rows in all sets of one grouping */
  readonly replicates: readonly number[];
}

/** Two settings' numbers, a − b, of pictures that belong together. */
export interface Difference extends Interval {
  readonly value: number;
}

/** The 95 % interval of a metric. */
export function intervalOf({ value, replicates }: Measured): Interval {
  return basicInterval(value, replicates);
}

/** a − b, resampling by resampling. */
export function differenceOf(a: Measured, b: Measured): Difference {
  const value = a.value - b.value;
  return {
    value,
    ...basicInterval(
      value,
      a.replicates.map((replicate, index) => replicate - b.replicates[index]),
    ),
  };
}
