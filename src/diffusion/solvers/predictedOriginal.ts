/**
 * Turns what the network predicts into the original and the noise, where latents are x = α x_0 + σ ε (variance
 * preserving, α² + σ² = 1). Euler's and Heun's methods have their own: varianceExploding.ts.
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import { thresholdDynamically } from "../dynamicThresholding.js";
import type { ThresholdingConfig } from "../dynamicThresholding.js";

/** What the network predicts. */
export type PredictionType =
  /** the noise ε */
  | "epsilon"
  /** the original x_0 */
  | "sample"
  /** v = α ε − σ x_0 (Salimans & Ho 2022) */
  | "v_prediction";

/** Signal scale α and noise scale σ, float32. */
export interface SignalAndNoise {
  readonly alpha: number;
  readonly sigma: number;
}

/** α = √ᾱ and σ = √(1 − ᾱ). */
export function signalAndNoise(alphaCumprod: number): SignalAndNoise {
  const { fround, sqrt } = Math;
  return { alpha: fround(sqrt(alphaCumprod)), sigma: fround(sqrt(fround(1 - alphaCumprod))) };
}

/** The original x_0, of the latents' shape. */
export function predictOriginal(
  type: PredictionType,
  { alpha, sigma }: SignalAndNoise,
  output: Float32Array,
  { dims, data: x }: FloatTensor,
): FloatTensor {
  const { fround } = Math;
  switch (type) {
    case "epsilon":
      return { dims, data: output.map((noise, i) => fround(x[i] - fround(sigma * noise)) / alpha) };
    case "sample":
      return { dims, data: output.slice() };
    case "v_prediction":
      return { dims, data: output.map((velocity, i) => fround(alpha * x[i]) - fround(sigma * velocity)) };
  }
}

/** The noise ε, of the latents' shape. */
export function predictNoise(
  type: PredictionType,
  { alpha, sigma }: SignalAndNoise,
  output: Float32Array,
  x: Float32Array,
): Float32Array {
  const { fround } = Math;
  switch (type) {
    case "epsilon":
      return output.slice();
    case "sample":
      return output.map((original, i) => fround(x[i] - fround(alpha * original)) / sigma);
    case "v_prediction":
      return output.map((velocity, i) => fround(alpha * velocity) + fround(sigma * x[i]));
  }
}

/** The keys of a scheduler config that keep the predicted original within range. */
export interface RangeConfig extends Partial<ThresholdingConfig> {
  readonly thresholding?: boolean;
  readonly clip_sample?: boolean;
  /** Clipped to ± this. */
  readonly clip_sample_range?: number;
}

/** The predicted original, thresholded or clipped where the config asks for it. */
export function keepInRange(config: RangeConfig, original: FloatTensor): FloatTensor {
  const {
    thresholding,
    dynamic_thresholding_ratio = 0.995,
    sample_max_value = 1,
    clip_sample,
    clip_sample_range: range = 1,
  } = config;
  if (thresholding === true) return thresholdDynamically(original, { dynamic_thresholding_ratio, sample_max_value });
  if (clip_sample !== true) return original;
  return { dims: original.dims, data: original.data.map((value) => Math.min(Math.max(value, -range), range)) };
}
