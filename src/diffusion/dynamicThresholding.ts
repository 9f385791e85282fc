import type { FloatTensor } from "../numerics/tensor.js";
import { elementCount } from "../numerics/tensor.js";

/** The keys of a scheduler config that dynamic thresholding reads. */
export interface ThresholdingConfig {
  /** Which quantile of |x0| is the threshold s. */
  readonly dynamic_thresholding_ratio: number;
  /** Upper bound of s; the lower bound is 1. */
  readonly sample_max_value: number;
}

/**
 * Dynamic thresholding of a predicted original (Imagen, arXiv 2205.11487, section 2.3): for
 * each image, s is a quantile of |x0| between 1 and `sample_max_value`; x0 is clipped to
 * [−s, s] and divided by s.
 *
 * Source: diffusers' `_threshold_sample`; the quantile as torch.quantile (linear, float32).
 *
 * @param predictedOriginal `[batch, …]`, float32
 */
export function thresholdDynamically(predictedOriginal: FloatTensor, config: ThresholdingConfig): FloatTensor {
  const [batch, ...imageDims] = predictedOriginal.dims;
  const imageSize = elementCount(imageDims);
  const data = new Float32Array(predictedOriginal.data.length);
  for (let image = 0; image < batch; image += 1) {
    const values = predictedOriginal.data.subarray(image * imageSize, (image + 1) * imageSize);
    const quantile = quantileFloat32(values.map(Math.abs).sort(), config.dynamic_thresholding_ratio);
    const threshold = Math.fround(Math.min(Math.max(quantile, 1), config.sample_max_value));
    data.set(
      values.map((value) => Math.min(Math.max(value, -threshold), threshold) / threshold),
      image * imageSize,
    );
  }
  return { dims: predictedOriginal.dims, data };
}

function quantileFloat32(sorted: Float32Array, ratio: number): number {
  const rank = Math.fround(Math.fround(ratio) * (sorted.length - 1));
  const below = Math.floor(rank);
  const weight = rank - below;
  return sorted[below] + weight * (sorted[Math.ceil(rank)] - sorted[below]);
}
