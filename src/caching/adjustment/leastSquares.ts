/**
 * Least squares from running sums, channel by channel, with a ridge towards given coefficients.
 *
 * For regressors f, target y and the coefficients p₀ that leave things as they are:
 *   A = Σ f fᵀ      b = Σ f y
 *   minimise  Σ (y − pᵀf)² + λ Σᵢ Aᵢᵢ (pᵢ − p₀ᵢ)²     →     (A + λ diag A)(p − p₀) = b − A p₀
 * The ridge is measured in each regressor's own power (as in Levenberg–Marquardt), so that λ has no unit: 0 trusts the
 * data, 1 as much the coefficients as they were. With D = diag A the system is (D^-½ A D^-½ + λ I), one eigenvalue
 * decomposition for all λ.
 */
import { EVD, Matrix } from "ml-matrix";
import { pairCount, pairIndex } from "./moments.js";
import type { Moments } from "./moments.js";

/** Directions with less than this share of the largest are rounding, and are left as they were. */
const RANK_TOLERANCE = 1e-10;

export interface RidgeProblem {
  /** sums of the regressors and, as the last quantity, the target */
  readonly moments: Moments;
  /** p₀, one for each regressor, the same for all channels */
  readonly start: readonly number[];
  /** positions of the regressors that are fitted; the others keep p₀ */
  readonly fitted: readonly number[];
}

/** Coefficients [channels, regressors] for each strength λ. */
export function fitRidge(
  { moments, start, fitted }: RidgeProblem,
  strengths: readonly number[],
): readonly Float64Array[] {
  const { channels } = moments;
  const width = start.length;
  const results = strengths.map(() =>
    Float64Array.from({ length: channels * width }, (_, index) => start[index % width]),
  );
  for (let channel = 0; channel < channels; channel++) {
    const at = productsOf(moments, channel);
    // A regressor that is zero everywhere (no earlier value was kept yet) says nothing.
    const active = fitted.filter((i) => at(i, i) > 0);
    if (active.length === 0) continue;
    const power = active.map((i) => Math.sqrt(at(i, i)));
    const residual = active.map((i, place) => {
      const explained = start.reduce((sum, coefficient, k) => sum + at(i, k) * coefficient, 0);
      return (at(i, width) - explained) / power[place];
    });
    const scaled = new Matrix(
      active.map((i, row) => active.map((j, column) => at(i, j) / (power[row] * power[column]))),
    );
    const { realEigenvalues, eigenvectorMatrix } = new EVD(scaled, { assumeSymmetric: true });
    const least = RANK_TOLERANCE * Math.max(...realEigenvalues);
    const projected = eigenvectorMatrix.transpose().mmul(Matrix.columnVector(residual)).to1DArray();
    strengths.forEach((strength, place) => {
      const inside = projected.map((value, k) =>
        realEigenvalues[k] > least ? value / (realEigenvalues[k] + strength) : 0,
      );
      const change = eigenvectorMatrix.mmul(Matrix.columnVector(inside)).to1DArray();
      active.forEach((i, row) => (results[place][channel * width + i] += change[row] / power[row]));
    });
  }
  return results;
}

/** Σ (y − pᵀf)² over all channels, for coefficients [channels, regressors]. Rounding may not make it negative. */
export function squaredError(moments: Moments, coefficients: ArrayLike<number>): number {
  const width = moments.quantities - 1;
  let total = 0;
  for (let channel = 0; channel < moments.channels; channel++) {
    const at = productsOf(moments, channel);
    let error = at(width, width);
    for (let i = 0; i < width; i++) {
      const p = coefficients[channel * width + i];
      if (p === 0) continue;
      error -= 2 * p * at(i, width);
      for (let j = 0; j < width; j++) error += p * coefficients[channel * width + j] * at(i, j);
    }
    total += Math.max(0, error);
  }
  return total;
}

/** Σ y² over all channels. */
export function squaredTarget(moments: Moments): number {
  const last = moments.quantities - 1;
  let total = 0;
  for (let channel = 0; channel < moments.channels; channel++) total += productsOf(moments, channel)(last, last);
  return total;
}

function productsOf({ quantities, products }: Moments, channel: number): (i: number, j: number) => number {
  const offset = channel * pairCount(quantities);
  return (i, j) => products[offset + pairIndex(quantities, i, j)];
}
