import { ArgumentError } from "../errors.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { elementCount } from "../numerics/tensor.js";

/**
 * Classifier-free guidance: `unconditional + guidanceScale · (conditional − unconditional)`,
 * float32, any shape. (Ho & Salimans 2022; diffusers' pipeline_stable_diffusion.py.)
 *
 * @throws ArgumentError if the two outputs differ in size
 */
export function guide(unconditional: FloatTensor, conditional: FloatTensor, guidanceScale: number): FloatTensor {
  requireSameSize(unconditional, conditional);
  const scale = Math.fround(guidanceScale);
  const guided = new Float32Array(conditional.data.length);
  for (let i = 0; i < guided.length; i += 1) {
    const difference = Math.fround(conditional.data[i] - unconditional.data[i]);
    guided[i] = unconditional.data[i] + Math.fround(scale * difference);
  }
  return { dims: conditional.dims, data: guided };
}

/**
 * Guidance rescale: gives each image of the guided output the standard deviation of the
 * conditional one, and mixes that with the guided output by `guidanceRescale` (0 leaves it as it is, 1 takes only the
 * rescaled one). Standard deviations are unbiased and taken over all elements of an image.
 *
 * Source: Lin et al. 2023 (arXiv 2305.08891), section 3.4; diffusers' `rescale_noise_cfg`.
 *
 * @param guided `[batch, …]`, from {@link guide}
 * @param conditional `[batch, …]`, the network's output for the prompt
 * @throws ArgumentError if the two differ in size
 */
export function rescaleNoiseCfg(guided: FloatTensor, conditional: FloatTensor, guidanceRescale: number): FloatTensor {
  requireSameSize(guided, conditional);
  const [batch, ...imageDims] = guided.dims;
  const imageSize = elementCount(imageDims);
  const mixed = new Float32Array(guided.data.length);
  for (let image = 0; image < batch; image += 1) {
    const start = image * imageSize;
    const end = start + imageSize;
    const ratio =
      standardDeviation(conditional.data.subarray(start, end)) / standardDeviation(guided.data.subarray(start, end));
    for (let i = start; i < end; i += 1) {
      const rescaled = Math.fround(guided.data[i] * ratio);
      mixed[i] = guidanceRescale * rescaled + (1 - guidanceRescale) * guided.data[i];
    }
  }
  return { dims: guided.dims, data: mixed };
}

/** Unbiased standard deviation (divisor n − 1), as torch.std. */
function standardDeviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}

function requireSameSize(left: FloatTensor, right: FloatTensor): void {
  if (left.data.length !== right.data.length) {
    throw new ArgumentError(
      `guidance: both outputs must have one shape, got [${left.dims.join(", ")}] and [${right.dims.join(", ")}]`,
    );
  }
}
