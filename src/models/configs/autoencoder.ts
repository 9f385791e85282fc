import { z } from "zod";
import { UnsupportedError } from "../../errors.js";
import { channels, count, layers, readConfig, refuse } from "./schema.js";

/** Keys of AutoencoderKL with its own defaults (diffusers 0.42, autoencoder_kl.py). */
const schema = z.object({
  in_channels: channels.default(3),
  out_channels: channels.default(3),
  down_block_types: z.array(z.string()).min(1).default(["DownEncoderBlock2D"]),
  up_block_types: z.array(z.string()).min(1).default(["UpDecoderBlock2D"]),
  block_out_channels: z.array(channels).min(1).default([64]),
  layers_per_block: layers.default(1),
  act_fn: z.enum(["silu", "swish", "mish", "gelu", "relu"]).default("silu"),
  latent_channels: channels.default(4),
  norm_num_groups: count.default(32),
  scaling_factor: z.number().positive().default(0.18215),
  use_quant_conv: z.boolean().default(true),
  use_post_quant_conv: z.boolean().default(true),
  mid_block_add_attention: z.boolean().default(true),
  force_upcast: z.union([z.boolean(), z.number()]).nullable().default(true).transform(Boolean),
});

const NEUTRAL = { latents_mean: [null], latents_std: [null] };
/** sample_size only guides tiling; the pipelines of Stable Diffusion do not look at shift_factor. */
const HARMLESS = ["sample_size", "shift_factor"];

export type AutoencoderConfig = z.infer<typeof schema>;

/**
 * Reads vae/config.json.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function parseAutoencoderConfig(json: unknown, file: string): AutoencoderConfig {
  const config = readConfig(file, json, schema, NEUTRAL, HARMLESS);
  for (const [key, known] of [
    ["down_block_types", "DownEncoderBlock2D"],
    ["up_block_types", "UpDecoderBlock2D"],
  ] as const) {
    const unknown = config[key].find((name) => name !== known);
    if (unknown !== undefined)
      throw new UnsupportedError(`${file}: ${key} = "${unknown}" is not supported (supported: ${known})`);
    if (config[key].length !== config.block_out_channels.length)
      refuse(file, key, config[key], `${config.block_out_channels.length} entries, one for each of block_out_channels`);
  }
  config.block_out_channels.forEach((width, level) => {
    if (width % config.norm_num_groups !== 0)
      refuse(file, `block_out_channels.${level}`, width, `a multiple of norm_num_groups (${config.norm_num_groups})`);
  });
  return config;
}
