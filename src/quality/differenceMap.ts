import { ArgumentError } from "../errors.js";
import type { RgbImage } from "../diffusion/image.js";

/** |image − reference| of each channel times `gain`, cut at white: black is no difference. */
export function differenceMap(image: RgbImage, reference: RgbImage, gain: number): RgbImage {
  if (image.width !== reference.width || image.height !== reference.height) {
    throw new ArgumentError(`reference: expected ${image.width}×${image.height} pixels, found ${reference.width}×${reference.height}`);
  }
  return { ...image, rgb: image.rgb.map((value, index) => Math.min(255, gain * Math.abs(value - reference.rgb[index]))) };
}
