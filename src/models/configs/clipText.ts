import { z } from "zod";
import { UnsupportedError } from "../../errors.js";
import { channels, count, layers, readConfig, refuse } from "./schema.js";

/** Larger vocabularies and contexts mean a damaged file; CLIP has 49,408 tokens and 77 positions. */
const MAX_VOCABULARY = 4_000_000;
const MAX_POSITIONS = 65_536;

const token = z.number().int().nonnegative();

/** Keys of CLIPTextConfig with its own defaults (transformers 5, configuration_clip.py). */
const schema = z.object({
  vocab_size: count.max(MAX_VOCABULARY).default(49408),
  hidden_size: channels.default(512),
  intermediate_size: channels.default(2048),
  num_hidden_layers: layers.default(12),
  num_attention_heads: count.default(8),
  max_position_embeddings: count.max(MAX_POSITIONS).default(77),
  hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
  layer_norm_eps: z.number().positive().default(1e-5),
  projection_dim: channels.nullable().default(512),
  eos_token_id: z
    .union([token, z.array(token)])
    .nullable()
    .default(49407),
});

/** Other parts of the model (special tokens, training) and transformers' bookkeeping. */
export const HARMLESS = [
  "architectures",
  "attention_dropout",
  "bos_token_id",
  "dropout",
  "dtype",
  "initializer_factor",
  "initializer_range",
  "model_type",
  "pad_token_id",
  "torch_dtype",
  "transformers_version",
  "gradient_checkpointing",
  "use_cache",
  "problem_type",
  "tie_word_embeddings",
  "id2label",
  "label2id",
  "return_dict",
  "chunk_size_feed_forward",
  "output_attentions",
  "output_hidden_states",
  "is_encoder_decoder",
  "max_length",
  "min_length",
  "num_beams",
  "temperature",
  "top_k",
  "top_p",
  "repetition_penalty",
  "length_penalty",
  "diversity_penalty",
  "num_beam_groups",
  "num_return_sequences",
  "no_repeat_ngram_size",
  "encoder_no_repeat_ngram_size",
  "early_stopping",
  "typical_p",
  "use_bfloat16",
];
export const NEUTRAL = { use_attention_mask: [false, null], pruned_heads: [{}, null] };

export type ClipTextConfig = z.infer<typeof schema>;

/**
 * Reads text_encoder/config.json or text_encoder_2/config.json.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function parseClipTextConfig(json: unknown, file: string): ClipTextConfig {
  const type = typeof json === "object" && json !== null && "model_type" in json ? json.model_type : undefined;
  if (type !== undefined && type !== "clip_text_model")
    throw new UnsupportedError(
      `${file}: model_type = ${JSON.stringify(type)} is not supported (supported: "clip_text_model")`,
    );
  const config = readConfig(file, json, schema, NEUTRAL, HARMLESS);
  if (config.hidden_size % config.num_attention_heads !== 0)
    refuse(
      file,
      "hidden_size",
      config.hidden_size,
      `a multiple of num_attention_heads (${config.num_attention_heads})`,
    );
  return config;
}
