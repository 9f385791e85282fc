import { z } from "zod";
import { HARMLESS, NEUTRAL } from "./clipText.js";
import { channels, count, layers, readConfig, refuse } from "./schema.js";

/** Larger pictures mean a damaged file: CLIP's are up to 336 pixels wide. */
const MAX_IMAGE_SIZE = 8192;

/** Keys of CLIPVisionConfig with its own defaults (transformers 5, configuration_clip.py). */
const schema = z.object({
  hidden_size: channels.default(768),
  intermediate_size: channels.default(3072),
  num_hidden_layers: layers.default(12),
  num_attention_heads: count.default(12),
  num_channels: z.literal(3).default(3),
  image_size: count.max(MAX_IMAGE_SIZE).default(224),
  patch_size: count.max(MAX_IMAGE_SIZE).default(32),
  hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
  layer_norm_eps: z.number().positive().default(1e-5),
});

/** Not read here: the whole model's own projection_dim is used. */
const UNREAD = ["projection_dim"];

export type ClipVisionConfig = z.infer<typeof schema>;

/**
 * Reads `vision_config` of a CLIPModel's config.json.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function parseClipVisionConfig(json: unknown, file: string): ClipVisionConfig {
  const config = readConfig(file, json, schema, NEUTRAL, [...HARMLESS, ...UNREAD]);
  if (config.hidden_size % config.num_attention_heads !== 0)
    refuse(
      file,
      "hidden_size",
      config.hidden_size,
      `a multiple of num_attention_heads (${config.num_attention_heads})`,
    );
  if (config.patch_size > config.image_size)
    refuse(file, "patch_size", config.patch_size, `at most image_size (${config.image_size})`);
  return config;
}
