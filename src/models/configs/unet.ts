import { z } from "zod";
import { UnsupportedError } from "../../errors.js";
import { atLevel, channels, count, layers, perLevel, readConfig, refuse } from "./schema.js";

const DOWN_BLOCKS = ["CrossAttnDownBlock2D", "DownBlock2D"] as const;
const UP_BLOCKS = ["UpBlock2D", "CrossAttnUpBlock2D"] as const;
const MID_BLOCKS = ["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"] as const;

/** Keys of UNet2DConditionModel with its own defaults (diffusers 0.42, unet_2d_condition.py). */
const schema = z.object({
  sample_size: z
    .union([count, z.tuple([count, count])])
    .nullable()
    .default(null),
  in_channels: channels.default(4),
  out_channels: channels.default(4),
  center_input_sample: z.boolean().default(false),
  flip_sin_to_cos: z.boolean().default(true),
  freq_shift: z.number().default(0),
  down_block_types: z
    .array(z.string())
    .min(1)
    .default(["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]),
  mid_block_type: z.string().nullable().default("UNetMidBlock2DCrossAttn"),
  up_block_types: z
    .array(z.string())
    .min(1)
    .default(["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
  only_cross_attention: perLevel(z.boolean()).default(false),
  block_out_channels: z.array(channels).min(1).default([320, 640, 1280, 1280]),
  layers_per_block: perLevel(layers).default(2),
  downsample_padding: z.number().int().min(0).max(1).default(1),
  mid_block_scale_factor: z.number().default(1),
  act_fn: z.enum(["silu", "swish", "mish", "gelu", "relu"]).default("silu"),
  norm_num_groups: count.default(32),
  norm_eps: z.number().positive().default(1e-5),
  cross_attention_dim: perLevel(channels).default(1280),
  transformer_layers_per_block: perLevel(z.union([layers, z.array(layers).min(1)])).default(1),
  reverse_transformer_layers_per_block: z
    .array(z.union([layers, z.array(layers).min(1)]))
    .nullable()
    .default(null),
  attention_head_dim: perLevel(count).default(8),
  num_attention_heads: z.null().default(null),
  use_linear_projection: z.boolean().default(false),
  // SDXL was published with null.
  upcast_attention: z
    .boolean()
    .nullish()
    .transform((value) => value ?? false),
  time_embedding_dim: channels.nullable().default(null),
  time_cond_proj_dim: channels.nullable().default(null),
  addition_embed_type: z.string().nullable().default(null),
  addition_time_embed_dim: channels.nullable().default(null),
  projection_class_embeddings_input_dim: channels.nullable().default(null),
  conv_in_kernel: count.default(3),
  conv_out_kernel: count.default(3),
});

/** Keys that other models use, and the values at which they change nothing. */
const NEUTRAL = {
  dual_cross_attention: [false],
  class_embed_type: [null],
  num_class_embeds: [null],
  encoder_hid_dim: [null],
  encoder_hid_dim_type: [null],
  resnet_time_scale_shift: ["default"],
  resnet_skip_time_act: [false],
  time_embedding_type: ["positional"],
  time_embedding_act_fn: [null],
  timestep_post_act: [null],
  attention_type: ["default"],
  cross_attention_norm: [null],
};

/** Read by no network that the keys above allow: dropout is off at inference, the rest belong to refused kinds. */
const HARMLESS = [
  "dropout",
  "resnet_out_scale_factor",
  "class_embeddings_concat",
  "mid_block_only_cross_attention",
  "addition_embed_type_num_heads",
];

/** A UNet's config, by diffusers' own keys, with its defaults filled in. */
export type UNetConfig = z.infer<typeof schema>;

/**
 * Reads unet/config.json.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function parseUNetConfig(json: unknown, file: string): UNetConfig {
  const config = readConfig(file, json, schema, NEUTRAL, HARMLESS);
  const { block_out_channels, down_block_types, up_block_types, mid_block_type, norm_num_groups } = config;
  const levels = block_out_channels.length;

  requireKnown(file, "down_block_types", down_block_types, DOWN_BLOCKS);
  requireKnown(file, "up_block_types", up_block_types, UP_BLOCKS);
  if (mid_block_type !== null) requireKnown(file, "mid_block_type", [mid_block_type], MID_BLOCKS);
  checkAddedEmbedding(file, config);
  for (const key of [
    "down_block_types",
    "up_block_types",
    "only_cross_attention",
    "layers_per_block",
    "cross_attention_dim",
    "transformer_layers_per_block",
    "attention_head_dim",
    "reverse_transformer_layers_per_block",
  ] as const) {
    const value = config[key];
    if (Array.isArray(value) && value.length !== levels)
      refuse(file, key, value, `${levels} entries, one for each of block_out_channels`);
  }
  if (
    Array.isArray(config.transformer_layers_per_block) &&
    config.transformer_layers_per_block.some(Array.isArray) &&
    config.reverse_transformer_layers_per_block === null
  ) {
    refuse(
      file,
      "reverse_transformer_layers_per_block",
      null,
      "a list, as transformer_layers_per_block has lists inside",
    );
  }
  checkTransformerLayers(file, config);

  block_out_channels.forEach((width, level) => {
    if (width % norm_num_groups !== 0)
      refuse(file, `block_out_channels.${level}`, width, `a multiple of norm_num_groups (${norm_num_groups})`);
    const heads = atLevel(config.attention_head_dim, level);
    if (attends(config, level) && width % heads !== 0) {
      refuse(
        file,
        `block_out_channels.${level}`,
        width,
        `a multiple of attention_head_dim (${heads}), which in diffusers is the number of heads`,
      );
    }
  });
  for (const key of ["conv_in_kernel", "conv_out_kernel"] as const) {
    if (config[key] % 2 === 0) refuse(file, key, config[key], "an odd number");
  }
  if (block_out_channels[0] % 2 !== 0)
    refuse(file, "block_out_channels.0", block_out_channels[0], "an even number, half sines and half cosines");
  return config;
}

/** SDXL's `text_time` needs its two widths; the other kinds belong to other families. */
function checkAddedEmbedding(
  file: string,
  { addition_embed_type, addition_time_embed_dim, projection_class_embeddings_input_dim }: UNetConfig,
): void {
  if (addition_embed_type === null) return;
  if (addition_embed_type !== "text_time") {
    throw new UnsupportedError(
      `${file}: addition_embed_type = ${JSON.stringify(addition_embed_type)} is not supported (supported: null, "text_time")`,
    );
  }
  const expected = 'a width, as addition_embed_type is "text_time"';
  if (addition_time_embed_dim === null) refuse(file, "addition_time_embed_dim", null, expected);
  if (projection_class_embeddings_input_dim === null)
    refuse(file, "projection_class_embeddings_input_dim", null, expected);
}

/** A block's list has one entry per transformer; an up block has one transformer more than a down block. */
function checkTransformerLayers(file: string, config: UNetConfig): void {
  const { block_out_channels, layers_per_block, down_block_types, up_block_types } = config;
  const check = (
    key: "transformer_layers_per_block" | "reverse_transformer_layers_per_block",
    transformersOf: (block: number) => number,
  ): void => {
    const setting = config[key];
    if (!Array.isArray(setting)) return;
    setting.forEach((entry, block) => {
      const transformers = transformersOf(block);
      if (Array.isArray(entry) && entry.length < transformers)
        refuse(
          file,
          `${key}.${block}`,
          entry,
          `a number, or a list of ${transformers}, one for each transformer of the block`,
        );
    });
  };
  check("transformer_layers_per_block", (block) =>
    down_block_types[block] === "CrossAttnDownBlock2D" ? atLevel(layers_per_block, block) : 0,
  );
  check("reverse_transformer_layers_per_block", (block) =>
    up_block_types[block] === "CrossAttnUpBlock2D"
      ? atLevel(layers_per_block, block_out_channels.length - 1 - block) + 1
      : 0,
  );
}

/** Whether a level holds spatial transformers. */
export function attends(
  { down_block_types, up_block_types, mid_block_type, block_out_channels }: UNetConfig,
  level: number,
): boolean {
  const last = block_out_channels.length - 1;
  return (
    down_block_types[level] === "CrossAttnDownBlock2D" ||
    up_block_types[last - level] === "CrossAttnUpBlock2D" ||
    (level === last && mid_block_type === "UNetMidBlock2DCrossAttn")
  );
}

function requireKnown(file: string, key: string, found: readonly string[], known: readonly string[]): void {
  const unknown = found.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UnsupportedError(`${file}: ${key} = "${unknown}" is not supported (supported: ${known.join(", ")})`);
}
