import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { createCovariance } from "./covariance.js";
import type { CovarianceAccumulator } from "./covariance.js";
import { featureLayout } from "./featureLayout.js";
import { leadingEigenpairs } from "../../numerics/leadingEigenvectors.js";

/** The directions in channel space along which a block's pixels vary most. Plain data. */
export interface PrincipalComponents {
  /** Mean of each channel over the fitted pixels, float64 [channels]. */
  readonly mean: Float64Array;
  /**
   * float64 [k, channels], orthonormal rows, largest variance first. A component beyond the rank
   * of the data (no variance is left for it) is a row of zeros: its maps are flat.
   */
  readonly components: Float64Array;
  /** Variance along each component (divided by count − 1), float64 [k]. */
  readonly explainedVariance: Float64Array;
  /** explainedVariance ÷ the variance summed over all channels, float64 [k]; zeros for constant data. */
  readonly explainedVarianceRatio: Float64Array;
  /** Number of pixels fitted. */
  readonly count: number;
}

/**
 * Below this share of the largest variance, a variance is the rounding of the float64 sums and
 * its direction means nothing. Features are float32, whose own rounding is 6e-8, squared 4e-15.
 */
const RANK_TOLERANCE = 1e-14;

/**
 * Principal components of a block's feature maps. Each pixel is an observation of `channels`
 * variables; channels are centred, not scaled (as sklearn.decomposition.PCA).
 *
 * The basis is fitted on whatever is passed:
 * - per image and step: one tensor of one batch row (`[tensor]`, or an accumulator given that row);
 * - over all steps: the tensors of all steps, or one accumulator to which each step was added as it
 *   came, so that nothing but a [channels, channels] matrix is kept;
 * - over several prompts: the same accumulator over all their runs.
 *
 * Also correct with fewer pixels than channels: the covariance then has at most count − 1 non-zero eigenvalues and the
 * surplus components are zero.
 *
 * Sign: the entry of largest absolute value of each component is positive (scikit-learn's
 * `svd_flip(u_based_decision=False)`; of equal ones the first), so that a fit is repeatable.
 *
 * @param features tensors [batch, channels, height, width] of which every pixel is used, or an
 *   accumulator ({@link createCovariance}).
 * @param k number of components, three for RGB.
 * @throws ArgumentError with fewer than two pixels, tensors of different channels, values that are
 *   not finite, or k outside 1…channels.
 */
export function fitComponents(features: readonly FloatTensor[] | CovarianceAccumulator, k = 3): PrincipalComponents {
  const statistics = "covariance" in features ? features : accumulate(features);
  const { channels, count } = statistics;
  if (!Number.isInteger(k) || k < 1 || k > channels) {
    throw new ArgumentError(`fitComponents: k must be an integer from 1 to the ${channels} channels, got ${k}`);
  }
  const covariance = statistics.covariance();
  let total = 0;
  for (let channel = 0; channel < channels; channel++) total += covariance[channel * channels + channel];

  const { values, vectors } = leadingEigenpairs(covariance, channels, k);
  const explainedVariance = new Float64Array(k);
  const components = new Float64Array(k * channels);
  for (let component = 0; component < k; component++) {
    if (values[component] <= RANK_TOLERANCE * values[0]) continue;
    explainedVariance[component] = values[component];
    const vector = vectors.subarray(component * channels, (component + 1) * channels);
    const sign = Math.sign(largestEntry(vector));
    components.set(
      vector.map((value) => value * sign),
      component * channels,
    );
  }
  return {
    mean: Float64Array.from(statistics.mean),
    components,
    explainedVariance,
    explainedVarianceRatio: explainedVariance.map((variance) => (total > 0 ? variance / total : 0)),
    count,
  };
}

function accumulate(tensors: readonly FloatTensor[]): CovarianceAccumulator {
  if (tensors.length === 0) throw new ArgumentError("fitComponents: at least one tensor is needed, got none");
  const statistics = createCovariance(featureLayout(tensors[0]).channels);
  for (const tensor of tensors) statistics.add(tensor);
  return statistics;
}

function largestEntry(vector: Float64Array): number {
  return vector.reduce((largest, value) => (Math.abs(value) > Math.abs(largest) ? value : largest), 0);
}
