import { ssim as ssimOf } from "ssim.js";
import type { RgbImage } from "../diffusion/image.js";
import { ArgumentError } from "../errors.js";
import { checkSameSize } from "./distance.js";

/** Side of the window in pixels: smaller images contain no whole window. */
const WINDOW = 11;

/**
 * Mean structural similarity of the luminance of 8-bit images, −1 to 1; 1 where equal (Wang, Bovik, Sheikh,
 * Simoncelli 2004): Gaussian window of 11 × 11 pixels, σ 1.5, whole windows only, K₁ 0.01, K₂ 0.03, at full
 * size. Equal to scikit-image's `structural_similarity(…, gaussian_weights=True, sigma=1.5,
 * use_sample_covariance=False, data_range=255)` of the luminance as MATLAB's rgb2gray rounds it.
 *
 * @throws ArgumentError where the sizes differ or a side is shorter than the window
 */
export function ssim(image: RgbImage, reference: RgbImage): number {
  checkSameSize(image, reference);
  if (Math.min(image.width, image.height) < WINDOW)
    throw new ArgumentError(`image: expected ${WINDOW} pixels or more each way, found ${image.width}×${image.height}`);
  return ssimOf(withAlpha(image), withAlpha(reference), {
    ssim: "fast",
    rgb2grayVersion: "original",
    downsample: false,
    windowSize: WINDOW,
    k1: 0.01,
    k2: 0.03,
    bitDepth: 8,
  }).mssim;
}

/** R G B → R G B A, as the library reads pictures. */
function withAlpha({ width, height, rgb }: RgbImage): { width: number; height: number; data: Uint8ClampedArray } {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) data.set(rgb.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
  return { width, height, data };
}
