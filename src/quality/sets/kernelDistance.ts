/**
 * Distances of two sets by a kernel: the squared maximum mean discrepancy (Gretton et al. 2012)
 *
 *   MMD² = E k(x, x′) + E k(y, y′) − 2 E k(x, y)
 *
 * biased if pairs of a picture with itself are counted (the V-statistic), unbiased if they are not (the U-statistic).
 */
import { ArgumentError } from "../../errors.js";
import { requireComparable } from "../features/features.js";
import type { Features } from "../features/features.js";
import { RESAMPLES, eachRow, resamplings } from "./bootstrap.js";
import type { ResamplingOptions } from "./bootstrap.js";
import type { Measured } from "./measured.js";

/** With this many pictures in both sets together, the kernel still fits into 2 GiB. */
const MOST_PICTURES = 16_000;
/** With fewer there is no pair. */
const LEAST_PICTURES = 2;
/**
 * A resampling that draws one picture only has no pair, and is left out. Where fewer than this share have one, as with two
 * pictures, those that have are too much alike to tell anything.
 */
const LEAST_SHARE = 0.75;

type Kernel = (x: Float64Array, y: Float64Array) => number;

/**
 * Kernel inception distance (Bińkowski et al. 2018): k(x, y) = (x·y / width + 1)³. The value is the unbiased estimate over
 * all pairs, to which the average over random subsets that others compute converges.
 *
 * @throws ArgumentError where widths or extractors differ, or sets are too small or too large
 */
export function kernelInceptionDistance(a: Features, b: Features, options: ResamplingOptions = {}): Measured {
  const cubic: Kernel = (x, y) => (dot(x, y) / a.width + 1) ** 3;
  const { unbiased, replicates } = discrepancy(a, b, cubic, "unbiased", options);
  return { value: unbiased, unbiased, replicates };
}

/** σ of the Gaussian kernel, and the factor that makes the numbers readable, both from Jayasumana et al. 2024. */
const CMMD_SIGMA = 10;
const CMMD_SCALE = 1000;

/**
 * CMMD (Jayasumana et al. 2024): 1000 · MMD² of CLIP's embeddings, normalised here, with k(x, y) = exp(−‖x − y‖² / (2σ²)),
 * σ = 10. The value is the biased estimate, as in the authors' code.
 *
 * @throws as {@link kernelInceptionDistance}
 */
export function clipDiscrepancy(a: Features, b: Features, options: ResamplingOptions = {}): Measured {
  const gaussian: Kernel = (x, y) => {
    let squared = 0;
    for (let index = 0; index < x.length; index++) squared += (x[index] - y[index]) ** 2;
    return CMMD_SCALE * Math.exp(-squared / (2 * CMMD_SIGMA ** 2));
  };
  const { biased, unbiased, replicates } = discrepancy(normalised(a), normalised(b), gaussian, "biased", options);
  return { value: biased, unbiased, replicates };
}

type Estimate = "biased" | "unbiased";

function discrepancy(
  a: Features,
  b: Features,
  kernel: Kernel,
  resampled: Estimate,
  { groups = eachRow(a.pictures), resamples = RESAMPLES }: ResamplingOptions,
): { biased: number; unbiased: number; replicates: number[] } {
  requireComparable(a, b, LEAST_PICTURES);
  if (a.pictures + b.pictures > MOST_PICTURES)
    throw new ArgumentError(
      `features: expected ${MOST_PICTURES} pictures or fewer in both sets together, found ${a.pictures + b.pictures} — take a random part of each`,
    );
  const kernels = [kernelMatrix(a, a, kernel), kernelMatrix(b, b, kernel), kernelMatrix(a, b, kernel)] as const;
  const all = [new Float64Array(a.pictures).fill(1), new Float64Array(b.pictures).fill(1)] as const;
  const replicates: number[] = [];
  const others = resamplings(a.pictures === b.pictures ? groups : eachRow(b.pictures), resamples);
  for (const rows of resamplings(groups, resamples)) {
    const counts = [
      countsOf(rows, a.pictures),
      countsOf((others.next().value as readonly number[] | undefined) ?? [], b.pictures),
    ] as const;
    replicates.push(estimate(kernels, counts, resampled));
  }
  const withPairs = replicates.filter((replicate) => !Number.isNaN(replicate));
  const usable = withPairs.length < LEAST_SHARE * replicates.length ? [] : withPairs;
  return { biased: estimate(kernels, all, "biased"), unbiased: estimate(kernels, all, "unbiased"), replicates: usable };
}

/**
 * MMD² with a count for each picture. The unbiased estimate leaves out all pairs of a picture with itself, including
 * its copies in a resampling: they would bring back the bias.
 */
function estimate(
  [aa, bb, ab]: readonly [Float64Array, Float64Array, Float64Array],
  [x, y]: readonly [Float64Array, Float64Array],
  kind: Estimate,
): number {
  const within = (kernel: Float64Array, counts: Float64Array): number => {
    let [self, pairs, total] = [0, 0, 0];
    counts.forEach((count, index) => {
      self += count * count * kernel[index * counts.length + index];
      pairs += count * count;
      total += count;
    });
    const sum = weighted(kernel, counts, counts);
    return kind === "biased" ? sum / total ** 2 : (sum - self) / (total ** 2 - pairs);
  };
  const [totalX, totalY] = [x, y].map((counts) => counts.reduce((sum, count) => sum + count, 0));
  return within(aa, x) + within(bb, y) - (2 * weighted(ab, x, y)) / (totalX * totalY);
}

/** xᵀ K y */
function weighted(kernel: Float64Array, x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < x.length; row++) {
    if (x[row] === 0) continue;
    let inner = 0;
    for (let column = 0; column < y.length; column++) inner += y[column] * kernel[row * y.length + column];
    sum += x[row] * inner;
  }
  return sum;
}

function kernelMatrix(a: Features, b: Features, kernel: Kernel): Float64Array {
  const rows = ({ data, width, pictures }: Features): Float64Array[] =>
    Array.from({ length: pictures }, (_, row) => data.subarray(row * width, (row + 1) * width));
  const [left, right] = [rows(a), rows(b)];
  const matrix = new Float64Array(left.length * right.length);
  left.forEach((x, row) => right.forEach((y, column) => (matrix[row * right.length + column] = kernel(x, y))));
  return matrix;
}

function countsOf(rows: readonly number[], pictures: number): Float64Array {
  const counts = new Float64Array(pictures);
  for (const row of rows) counts[row]++;
  return counts;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < x.length; index++) sum += x[index] * y[index];
  return sum;
}

/** Each row ÷ its length. */
function normalised(features: Features): Features {
  const { width, pictures } = features;
  const data = Float64Array.from(features.data);
  for (let row = 0; row < pictures; row++) {
    const values = data.subarray(row * width, (row + 1) * width);
    const length = Math.sqrt(dot(values, values));
    values.forEach((value, index) => (values[index] = value / length));
  }
  return { ...features, data };
}
