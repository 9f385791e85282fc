/**
 * What stands in for C where a block does not compute: a weighted sum of the values computed before.
 * The paper holds the last one. Extrapolation in time follows TaylorSeer (Liu et al. 2025); a polynomial
 * through k values is exact for changes of degree k − 1, and here also for uneven distances.
 */
import { ArgumentError } from "../errors.js";

export interface ReuseRule {
  readonly name: string;
  /** how many computed values are kept */
  readonly history: number;
  /** weights of the kept values, from their times and the time wanted; times are all different */
  weights(times: readonly number[], wanted: number): readonly number[];
}

/** Lagrange's weights of the polynomial through all kept values. */
function lagrange(times: readonly number[], wanted: number): number[] {
  return times.map((time, index) => times.reduce((weight, other, j) => (j === index ? weight : (weight * (wanted - other)) / (time - other)), 1));
}

/** The last computed value as it is: the paper's rule. */
export const hold: ReuseRule = { name: "hold", history: 1, weights: () => [1] };
/** The line through the last two computed values; holds while there is one. */
export const linear: ReuseRule = { name: "linear", history: 2, weights: lagrange };
/** The parabola through the last three computed values; a line while there are two. */
export const quadratic: ReuseRule = { name: "quadratic", history: 3, weights: lagrange };

export const REUSE_RULES: readonly ReuseRule[] = [hold, linear, quadratic];

/** A rule by its name. Throws ArgumentError for an unknown one. */
export function reuseRule(name: string): ReuseRule {
  const rule = REUSE_RULES.find((each) => each.name === name);
  if (rule === undefined) throw new ArgumentError(`reuse: expected ${REUSE_RULES.map((each) => each.name).join(", ")}, found "${name}"`);
  return rule;
}
