/** How far results are from a reference. */
import { ArgumentError } from "../errors.js";
import type { RgbImage } from "../diffusion/image.js";
import { elementCount } from "../models/tensor.js";
import type { FloatTensor } from "../models/tensor.js";

/** ‖x − reference‖₂ / ‖reference‖₂ of each batch row. */
export function relativeDistances(latents: FloatTensor, reference: FloatTensor): number[] {
  if (latents.dims.join() !== reference.dims.join()) throw new ArgumentError(`reference: expected [${latents.dims.join(", ")}], found [${reference.dims.join(", ")}]`);
  const length = elementCount(latents.dims.slice(1));
  return Array.from({ length: latents.dims[0] }, (_, row) => {
    let [difference, size] = [0, 0];
    for (let index = row * length; index < (row + 1) * length; index++) {
      difference += (latents.data[index] - reference.data[index]) ** 2;
      size += reference.data[index] ** 2;
    }
    return Math.sqrt(difference / size);
  });
}

/** Peak signal-to-noise ratio in dB of 8-bit images: 10 log₁₀(255² / mean squared error); Infinity where equal. */
export function psnr(image: RgbImage, reference: RgbImage): number {
  checkSameSize(image, reference);
  const squared = image.rgb.reduce((sum, value, index) => sum + (value - reference.rgb[index]) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (squared / image.rgb.length));
}

/** Throws ArgumentError where two images differ in size. */
export function checkSameSize(image: RgbImage, reference: RgbImage): void {
  if (image.width === reference.width && image.height === reference.height) return;
  throw new ArgumentError(`reference: expected ${image.width}×${image.height} pixels, found ${reference.width}×${reference.height}`);
}
