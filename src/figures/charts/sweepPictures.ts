/** Pictures of a sweep. */
import type { RgbImage } from "../../diffusion/image.js";

/** The same prompts and seeds sampled plain and at each value of a parameter. */
export interface SweepPictures {
  /** "δ" */
  readonly parameter: string;
  /** one per picture: the labels */
  readonly prompts: readonly string[];
  readonly plain: SweepSetting;
  /** in the order to show them */
  readonly cached: readonly (SweepSetting & { readonly value: number })[];
}

export interface SweepSetting {
  /** one per prompt */
  readonly images: readonly RgbImage[];
  /** measured seconds per image, without decoding */
  readonly seconds: number;
}
