import { Matrix, SVD } from "ml-matrix";
import { ArgumentError } from "../../errors.js";
import type { PrincipalComponents } from "./pca.js";

/**
 * Added to the diagonal of the k × k product before its SVD. Where the data leaves the rotation
 * open (a component beyond the rank, or orthogonal to the whole reference), this picks the rotation that turns least,
 * instead of whatever rounding gives; elsewhere it moves the result by about 1e-13.
 */
const LEAST_TURN = 1e-13;

/**
 * The orthogonal matrix R [k, k], row-major, that brings `components` (B, k directions in channel
 * space) nearest to `reference` (A): the minimum of ‖R B − A‖ in the Frobenius norm. With
 * A Bᵀ = U Σ Vᵀ it is R = U Vᵀ (Schönemann, "A generalized solution of the orthogonal Procrustes
 * problem", Psychometrika 31, 1966; scipy.linalg.orthogonal_procrustes(Bᵀ, Aᵀ) gives Rᵀ).
 * Reflections are allowed: the sign of a principal component carries no meaning.
 *
 * @throws ArgumentError when channels or the number of components differ.
 */
export function procrustesRotation(reference: PrincipalComponents, components: PrincipalComponents): Float64Array {
  const channels = reference.mean.length;
  const k = reference.explainedVariance.length;
  if (components.mean.length !== channels || components.explainedVariance.length !== k) {
    throw new ArgumentError(
      `alignComponents: the reference has ${k} components of ${channels} channels, the other ` +
        `${components.explainedVariance.length} of ${components.mean.length}; fit both on the same block with the same k`,
    );
  }
  const product = Matrix.zeros(k, k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) {
      let sum = i === j ? LEAST_TURN : 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += reference.components[i * channels + channel] * components.components[j * channels + channel];
      }
      product.set(i, j, sum);
    }
  }
  const { leftSingularVectors, rightSingularVectors } = new SVD(product);
  return Float64Array.from(leftSingularVectors.mmul(rightSingularVectors.transpose()).to1DArray());
}

/**
 * Turns separately fitted components (of another step, say) so that they lie as near as possible
 * to a reference: equal colours then mean equal directions, and maps of different steps can be
 * compared. The space they span, its total variance and all distances between projected pixels stay the same; within it
 * the axes are no longer ordered by variance or uncorrelated, so `explainedVariance` is that along each turned axis: Σⱼ
 * Rᵢⱼ² λⱼ.
 *
 * To follow a run step by step, align each step's components to the aligned ones of the step before.
 *
 * @param reference the components to come near to, k of the same channels.
 * @returns `components` turned by {@link procrustesRotation}; its mean is kept.
 * @throws ArgumentError when channels or the number of components differ.
 */
export function alignComponents(reference: PrincipalComponents, components: PrincipalComponents): PrincipalComponents {
  const rotation = procrustesRotation(reference, components);
  const channels = components.mean.length;
  const k = components.explainedVariance.length;
  const turned = new Float64Array(k * channels);
  const explainedVariance = new Float64Array(k);
  const explainedVarianceRatio = new Float64Array(k);
  for (let i = 0; i < k; i++) {
    for (let j = 0; j < k; j++) {
      const weight = rotation[i * k + j];
      for (let channel = 0; channel < channels; channel++) {
        turned[i * channels + channel] += weight * components.components[j * channels + channel];
      }
      explainedVariance[i] += weight * weight * components.explainedVariance[j];
      explainedVarianceRatio[i] += weight * weight * components.explainedVarianceRatio[j];
    }
  }
  return { ...components, components: turned, explainedVariance, explainedVarianceRatio };
}
