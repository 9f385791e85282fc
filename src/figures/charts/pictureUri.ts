/** What figures of pictures share. */
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { RgbImage } from "../../diffusion/image.js";

/** Viewers smooth what they enlarge; from this many pixels on they need not. */
const SHARP_PIXELS = 256;

/** A PNG data URI, enlarged without smoothing where the picture is small. */
export async function pictureUri(image: RgbImage): Promise<string> {
  return toDataUri(await enlarge(image, Math.max(1, Math.round(SHARP_PIXELS / Math.max(image.width, image.height)))));
}

/** A PSNR in words. */
export function decibel(value: number): string {
  return value === Infinity ? "equal" : `${value.toFixed(1)} dB`;
}
