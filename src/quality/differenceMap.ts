import type { RgbImage } from "../diffusion/image.js";
import { checkSameSize } from "./distance.js";

/**
 * |image − reference| of each channel times `gain`, clipped at white: black means no difference. Throws ArgumentError
 * where the sizes differ.
 */
export function differenceMap(image: RgbImage, reference: RgbImage, gain: number): RgbImage {
  checkSameSize(image, reference);
  return {
    ...image,
    rgb: image.rgb.map((value, index) => Math.min(255, gain * Math.abs(value - reference.rgb[index]))),
  };
}
