/** How far results are from a reference. */
import { ArgumentError } from "../errors.js";
import type { RgbImage } from "../diffusion/image.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";

/**
 * ‖x − reference‖₂ / ‖reference‖₂ of each image.
 *
 * @param images how many images the rows belong to: rows `r` and `r + images` are one image's two guidance halves.
 *   Default: one row per image
 * @throws ArgumentError where the dims differ
 */
export function relativeDistances(values: FloatTensor, reference: FloatTensor, images = values.dims[0]): number[] {
  if (values.dims.join() !== reference.dims.join())
    throw new ArgumentError(`reference: expected [${values.dims.join(", ")}], found [${reference.dims.join(", ")}]`);
  const length = elementCount(values.dims.slice(1));
  const differences = new Float64Array(images);
  const sizes = new Float64Array(images);
  for (let row = 0; row < values.dims[0]; row++) {
    for (let index = row * length; index < (row + 1) * length; index++) {
      differences[row % images] += (values.data[index] - reference.data[index]) ** 2;
      sizes[row % images] += reference.data[index] ** 2;
    }
  }
  // Where both are zero, the distance is 0.
  return Array.from(differences, (difference, image) => (difference === 0 ? 0 : Math.sqrt(difference / sizes[image])));
}

/** Peak signal-to-noise ratio in dB of 8-bit images: 10 log₁₀(255² / mean squared error); Infinity where equal. Throws ArgumentError where the sizes differ. */
export function psnr(image: RgbImage, reference: RgbImage): number {
  checkSameSize(image, reference);
  const squared = image.rgb.reduce((sum, value, index) => sum + (value - reference.rgb[index]) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (squared / image.rgb.length));
}

/** Throws ArgumentError where two images differ in size. */
export function checkSameSize(image: RgbImage, reference: RgbImage): void {
  if (image.width === reference.width && image.height === reference.height) return;
  throw new ArgumentError(
    `reference: expected ${image.width}×${image.height} pixels, found ${reference.width}×${reference.height}`,
  );
}
