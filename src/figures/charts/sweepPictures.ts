/** Pictures of a sweep. */
import type { RgbImage } from "../../diffusion/image.js";

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
