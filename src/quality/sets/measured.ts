import { basicInterval } from "./bootstrap.js";
import type { Interval } from "./bootstrap.js";

/** A number that a metric measured on a set of pictures. */
export interface Measured {
  /** as the metric is defined */
  readonly value: number;
  /** without the bias of a set of this size; absent where the set is too small to estimate it, or `value` has none */
  readonly unbiased?: number;
  /** the number in each resampling that has one; sets with the same grouping are resampled alike. Empty: no interval */
  readonly replicates: readonly number[];
}

/** The difference of two settings' numbers, a − b, over pictures that belong together. */
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
