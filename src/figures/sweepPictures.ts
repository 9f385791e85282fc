/** Pictures of a sweep, and what figures of pictures share. */
import { enlarge, toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";

/** The same prompts and seeds sampled plain and at each value of a parameter. */
export interface SweepPictures {
  /** "δ" */
  readonly parameter: string;
  /** one label a picture: the prompts */
  readonly prompts: readonly string[];
  readonly plain: SweepSetting;
  /** in the order to show them */
  readonly cached: readonly (SweepSetting & { readonly value: number })[];
}

export interface SweepSetting {
  /** one a prompt */
  readonly images: readonly RgbImage[];
  /** measured, of one image, decoding left out */
  readonly seconds: number;
}

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
