/**
 * The Fréchet distance between two sets of features, each taken as a normal distribution (Dowson & Landau 1982; on
 * Inception-v3's features it is the FID of Heusel et al. 2017):
 *
 *   d² = ‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½
 *
 * Notation: Σ = FᵀF; then tr (Σ₁Σ₂)^½ is the sum of the singular values of F₁F₂ᵀ, which needs no square root of a
 * product that is not symmetric, and is exact where there are fewer pictures than numbers per picture.
 */
import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from "ml-matrix";
import { mean } from "../../instrument/profile/statistics.js";
import { MersenneTwister } from "../../numerics/mersenneTwister.js";
import { productWithTranspose, transposedMatrix } from "../../numerics/productWithTranspose.js";
import { symmetricEigenvalues } from "../../numerics/symmetricEigenvalues.js";
import { requireComparable, selectRows } from "../features/features.js";
import type { FeatureStatistics, Features } from "../features/features.js";
import { RESAMPLES, eachRow, resamplings } from "./bootstrap.js";
import type { ResamplingOptions } from "./bootstrap.js";
import type { Measured } from "./measured.js";

/** With fewer there is no covariance. */
const LEAST_PICTURES = 2;

/** A normal distribution, its covariance as FᵀF. */
interface Normal {
  readonly mean: Float64Array;
  /** F [k, width] */
  readonly factor: Float64Array;
  /** tr Σ */
  readonly spread: number;
}

/**
 * Fréchet distance of a set to a reference. The interval is over the pictures of `a`, and of the reference where it is
 * a set of pictures too; a reference with as many pictures is resampled in pairs with `a`.
 *
 * @throws ArgumentError where widths or extractors differ, or a set has only one picture
 */
export function frechetDistance(
  a: Features,
  reference: Features | FeatureStatistics,
  { groups = eachRow(a.pictures), resamples = RESAMPLES }: ResamplingOptions = {},
): Measured {
  requireComparable(a, reference, LEAST_PICTURES);
  const fixed = normalOf(reference);
  const replicates: number[] = [];
  const others =
    "data" in reference
      ? resamplings(reference.pictures === a.pictures ? groups : eachRow(reference.pictures), resamples)
      : undefined;
  for (const rows of resamplings(groups, resamples)) {
    const other: readonly number[] | undefined = others?.next().value as readonly number[] | undefined;
    const against = other && "data" in reference ? normalOf(selectRows(reference, other)) : fixed;
    replicates.push(distance(normalOf(selectRows(a, rows)), against));
  }
  const unbiased = resamples === 0 ? undefined : extrapolated(a, fixed);
  return { value: distance(normalOf(a), fixed), unbiased, replicates };
}

/** How many sizes of subset the extrapolation uses, and how many subsets of each. */
const SIZES = 15;
const SUBSETS = 4;

/**
 * FID∞ (Chong & Forsyth 2020): with n pictures the distance is about c / n too large, so that a line through the
 * distances of subsets, over 1 / n, meets 1 / n = 0 at the value of infinitely many pictures. Their subsets start at a
 * tenth of 50,000 pictures; ours at half of the set, because the distances of smaller subsets of a small set are off
 * the line. The reference's own bias is not corrected.
 */
function extrapolated(a: Features, reference: Normal): number | undefined {
  if (a.pictures < 2 * SIZES) return undefined;
  const generator = new MersenneTwister(0);
  const points = Array.from({ length: SIZES }, (_, index) => {
    const size = Math.round((a.pictures / 2) * (1 + index / (SIZES - 1)));
    const count = size === a.pictures ? 1 : SUBSETS;
    const distances = Array.from({ length: count }, () =>
      distance(normalOf(selectRows(a, subset(a.pictures, size, generator))), reference),
    );
    return { x: 1 / size, y: mean(distances) };
  });
  const [centreX, centreY] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const slope =
    points.reduce((sum, { x, y }) => sum + (x - centreX) * (y - centreY), 0) /
    points.reduce((sum, { x }) => sum + (x - centreX) ** 2, 0);
  return centreY - slope * centreX;
}

/** This many different rows (the beginning of a Fisher–Yates shuffle). */
function subset(rows: number, size: number, generator: MersenneTwister): number[] {
  const order = Array.from({ length: rows }, (_, row) => row);
  for (let place = 0; place < size; place++) {
    const other = place + (generator.uint32() % (rows - place));
    [order[place], order[other]] = [order[other], order[place]];
  }
  return order.slice(0, size);
}

/** Mean and covariance of a set, as a reference for Fréchet distances that can be kept without its pictures. */
export function featureStatistics(features: Features): FeatureStatistics {
  requireComparable(features, features, LEAST_PICTURES);
  const { mean, centred } = centre(features);
  const { pictures, width, extractor } = features;
  return { pictures, width, mean, covariance: covarianceOf(centred, width), extractor };
}

function distance(a: Normal, b: Normal): number {
  const means = a.mean.reduce((sum, value, index) => sum + (value - b.mean[index]) ** 2, 0);
  const width = a.mean.length;
  const [long, short] = a.factor.length < b.factor.length ? [b.factor, a.factor] : [a.factor, b.factor];
  const product = productWithTranspose(short, long, width);
  return means + a.spread + b.spread - 2 * sumOfSingularValues(product, short.length / width);
}

function normalOf(set: Features | FeatureStatistics): Normal {
  const { width } = set;
  if (!("data" in set)) {
    const factor = cholesky(set.covariance, width) ?? squareRoot(set.covariance, width);
    return { mean: set.mean, factor, spread: trace(set.covariance, width) };
  }
  const { mean, centred } = centre(set);
  if (set.pictures > width) {
    const covariance = covarianceOf(centred, width);
    const factor = cholesky(covariance, width);
    if (factor !== undefined) return { mean, factor, spread: trace(covariance, width) };
  }
  const scale = Math.sqrt(set.pictures - 1);
  const factor = centred.map((value) => value / scale);
  return { mean, factor, spread: factor.reduce((sum, value) => sum + value * value, 0) };
}

function centre({ pictures, width, data }: Features): { mean: Float64Array; centred: Float64Array } {
  const mean = new Float64Array(width);
  const centred = Float64Array.from(data);
  for (let start = 0; start < data.length; start += width)
    for (let index = 0; index < width; index++) mean[index] += data[start + index] / pictures;
  for (let start = 0; start < data.length; start += width)
    for (let index = 0; index < width; index++) centred[start + index] -= mean[index];
  return { mean, centred };
}

function covarianceOf(centred: Float64Array, width: number): Float64Array {
  const variables = transposedMatrix(centred, width);
  const pictures = centred.length / width;
  return productWithTranspose(variables, variables, pictures).map((sum) => sum / (pictures - 1));
}

function trace(covariance: Float64Array, width: number): number {
  return covariance.reduce((sum, value, index) => (index % (width + 1) === 0 ? sum + value : sum), 0);
}

/** F of Σ = FᵀF; undefined where Σ is singular. */
function cholesky(covariance: Float64Array, width: number): Float64Array | undefined {
  const decomposition = new CholeskyDecomposition(Matrix.from1DArray(width, width, covariance));
  if (!decomposition.isPositiveDefinite()) return undefined;
  return Float64Array.from(decomposition.lowerTriangularMatrix.transpose().to1DArray());
}

/** F of Σ = FᵀF by eigenvectors. */
function squareRoot(covariance: Float64Array, width: number): Float64Array {
  const matrix = Matrix.from1DArray(width, width, covariance);
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const roots = realEigenvalues.map((value) => Math.sqrt(Math.max(value, 0)));
  return Float64Array.from(eigenvectorMatrix.transpose().mulColumnVector(roots).to1DArray());
}

/** The sum of the singular values of G [rows, …], from the eigenvalues of GGᵀ. */
function sumOfSingularValues(matrix: Float64Array, rows: number): number {
  const square = productWithTranspose(matrix, matrix, matrix.length / rows);
  return symmetricEigenvalues(square, rows).reduce((sum, value) => sum + Math.sqrt(Math.max(value, 0)), 0);
}
