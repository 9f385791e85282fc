import type { FloatTensor } from "../../numerics/tensor.js";
import { keepInRange, predictNoise, predictOriginal } from "./predictedOriginal.js";
import type { PredictionType, RangeConfig, SignalAndNoise } from "./predictedOriginal.js";

/**
 * The network's output as the quantity that is integrated, the original x_θ or the noise ε_θ, and the
 * predicted original in either case.
 *
 * Source: `convert_model_output` of diffusers' DPM-Solver and UniPC schedulers.
 */
export function convertModelOutput(
  config: RangeConfig & { readonly prediction_type: PredictionType },
  integratesOriginal: boolean,
  scales: SignalAndNoise,
  output: Float32Array,
  latents: FloatTensor,
): { prediction: Float32Array; predictedOriginal: FloatTensor } {
  const predictedOriginal = keepInRange(config, predictOriginal(config.prediction_type, scales, output, latents));
  if (integratesOriginal) return { prediction: predictedOriginal.data, predictedOriginal };
  const prediction =
    config.thresholding === true
      ? predictNoise("sample", scales, predictedOriginal.data, latents.data)
      : predictNoise(config.prediction_type, scales, output, latents.data);
  return { prediction, predictedOriginal };
}
