/**
 * A picture of latents without the autoencoder: the linear map from latent channels to RGB that fits the
 * decoder best, at latent resolution. Decoding costs as much as a step of a small network; this costs
 * microseconds.
 */
import { Matrix, SVD } from "ml-matrix";
import type { FloatTensor } from "../numerics/tensor.js";
import { elementCount } from "../numerics/tensor.js";
import { Lazy } from "../engine/lazy.js";
import type { RgbImage } from "./image.js";
import { TorchGenerator } from "../numerics/noise.js";
import { pixelsToImages } from "./pixels.js";
import type { Pipeline } from "./pipeline.js";

/** latents [batch, channels, height, width] → one small picture per row */
export type LatentPreview = (latents: FloatTensor) => RgbImage[];

const previews = new WeakMap<Pipeline, Lazy<LatentPreview>>();

/**
 * Fits the preview once for each pipeline: least squares over what the decoder makes of flat random latents.
 *
 * @throws InvalidFileError, UnsupportedError for the autoencoder's weights
 */
export function latentPreview(pipeline: Pipeline): Promise<LatentPreview> {
  const preview = previews.get(pipeline) ?? new Lazy(() => fit(pipeline));
  previews.set(pipeline, preview);
  return preview.get();
}

/** Flat latents show what each channel does to the colour; this many of them fit four channels well. */
const SAMPLES = 64;
/** Side of each sample, in latents: large enough that the decoder's border effects do not fill it. */
const SIDE = 4;

async function fit(pipeline: Pipeline): Promise<LatentPreview> {
  const channels = pipeline.folder.unet.in_channels;
  const plane = SIDE * SIDE;
  const colours = new TorchGenerator(0).randn([SAMPLES, channels]).data;
  const data = new Float32Array(SAMPLES * channels * plane);
  colours.forEach((value, index) => data.fill(value, index * plane, (index + 1) * plane));
  const { dims, data: pixels } = await pipeline.decode({ dims: [SAMPLES, channels, SIDE, SIDE], data });
  const area = dims[2] * dims[3];

  const design = Matrix.zeros(SAMPLES, channels + 1);
  const targets = Matrix.zeros(SAMPLES, 3);
  for (let sample = 0; sample < SAMPLES; sample++) {
    for (let channel = 0; channel < channels; channel++)
      design.set(sample, channel, colours[sample * channels + channel]);
    design.set(sample, channels, 1);
    for (let colour = 0; colour < 3; colour++) {
      const start = (sample * 3 + colour) * area;
      targets.set(sample, colour, pixels.subarray(start, start + area).reduce((sum, value) => sum + value, 0) / area);
    }
  }
  const weights = new SVD(design, { autoTranspose: true }).solve(targets).to2DArray();
  return (latents) => apply(weights, latents);
}

/** @param weights [channels + 1][3], the colour of zero latents last */
function apply(
  weights: readonly (readonly number[])[],
  { dims: [batch, channels, height, width], data }: FloatTensor,
): RgbImage[] {
  const plane = height * width;
  const pixels = new Float32Array(elementCount([batch, 3, plane]));
  for (let row = 0; row < batch; row++) {
    for (let colour = 0; colour < 3; colour++) {
      const first = (row * 3 + colour) * plane;
      const picture = pixels.subarray(first, first + plane).fill(weights[channels][colour]);
      for (let channel = 0; channel < channels; channel++) {
        const [weight, start] = [weights[channel][colour], (row * channels + channel) * plane];
        for (let index = 0; index < plane; index++) picture[index] += weight * data[start + index];
      }
    }
  }
  return pixelsToImages({ dims: [batch, 3, height, width], data: pixels });
}
