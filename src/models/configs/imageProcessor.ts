/** preprocessor_config.json of a CLIP: how pictures become what the vision tower takes. */
import { z } from "zod";
import { UnsupportedError } from "../../errors.js";
import { count, readConfig } from "./schema.js";

const SIDES = z.object({ height: count, width: count });
const square = count.transform((side) => ({ height: side, width: side }));
const triple = z.tuple([z.number(), z.number(), z.number()]);

/** Pillow's numbers for the filters that are implemented. */
const FILTERS = { 2: "bilinear", 3: "bicubic" } as const;
export type ResizeFilter = (typeof FILTERS)[keyof typeof FILTERS];

/** Keys of CLIPImageProcessor with its own defaults (transformers 5, image_processing_clip.py). */
const schema = z.object({
  do_resize: z.boolean().default(true),
  size: z
    .union([z.object({ shortest_edge: count }), SIDES, count.transform((side) => ({ shortest_edge: side }))])
    .default({ shortest_edge: 224 }),
  resample: z.number().int().default(3),
  do_center_crop: z.boolean().default(true),
  crop_size: z.union([SIDES, square]).default({ height: 224, width: 224 }),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: triple.default([0.48145466, 0.4578275, 0.40821073]),
  image_std: triple.default([0.26862954, 0.26130258, 0.27577711]),
});

/** Keys that do not change the numbers, or only name the class. */
const HARMLESS = ["image_processor_type", "feature_extractor_type", "processor_class", "do_convert_rgb", "data_format"];

export interface ImageProcessorConfig extends Omit<z.infer<typeof schema>, "resample"> {
  readonly filter: ResizeFilter;
}

/**
 * Reads a preprocessor_config.json.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function parseImageProcessorConfig(json: unknown, file: string): ImageProcessorConfig {
  const { resample, ...config } = readConfig(file, json, schema, {}, HARMLESS);
  if (resample !== 2 && resample !== 3)
    throw new UnsupportedError(`${file}: resample = ${resample} is not supported (supported: 2, bilinear; 3, bicubic)`);
  return { ...config, filter: FILTERS[resample] };
}
