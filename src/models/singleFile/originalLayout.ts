/**
 * The original layout of Stable Diffusion's weights (CompVis latent-diffusion, Stability-AI stablediffusion)
 * under diffusers' names, converted as diffusers does (loaders/single_file_utils.py: convert_ldm_unet_checkpoint,
 * convert_ldm_vae_checkpoint, convert_ldm_clip_checkpoint, convert_open_clip_checkpoint). A converted tensor is a view
 * into the file: under another name, without dimensions of 1, or only some of the rows.
 */
import type { TensorEntry } from "../../files/safetensors.js";

export type Tensors = ReadonlyMap<string, TensorEntry>;

/** Where each component's tensors begin in a file. */
export const UNET_PREFIX = "model.diffusion_model.";
export const VAE_PREFIXES = ["first_stage_model.", "vae."];
export const CLIP_PREFIX = "cond_stage_model.transformer.text_model.";
export const OPEN_CLIP_PREFIX = "cond_stage_model.model.";

type Names = Readonly<Record<string, string>>;

const UNET_ENDS: Names = {
  "time_embed.0": "time_embedding.linear_1",
  "time_embed.2": "time_embedding.linear_2",
  "input_blocks.0.0": "conv_in",
  "out.0": "conv_norm_out",
  "out.2": "conv_out",
};
const UNET_RESNET: Names = {
  "in_layers.0": "norm1",
  "in_layers.2": "conv1",
  "emb_layers.1": "time_emb_proj",
  "out_layers.0": "norm2",
  "out_layers.3": "conv2",
  skip_connection: "conv_shortcut",
};

/**
 * diffusers' name of a tensor of the UNet. The original numbers all layers of a half consecutively; diffusers counts
 * them within each block. Every block takes up `layers` + 1 numbers; on the way down, the last of these is the
 * downsampler.
 */
export function unetName(name: string, layers: number): string | undefined {
  const { module, parameter } = split(name);
  if (UNET_ENDS[module] !== undefined) return `${UNET_ENDS[module]}.${parameter}`;
  const [, half, number, part, inside = ""] =
    /^(input_blocks|middle_block|output_blocks)\.(\d+)(?:\.(\d+))?\.(.+)$/.exec(module) ?? [];
  const resnet = UNET_RESNET[inside];
  if (half === "middle_block") {
    if (number === "1") return `mid_block.attentions.0.${inside}.${parameter}`;
    return resnet && `mid_block.resnets.${Number(number) / 2}.${resnet}.${parameter}`;
  }
  if (half === undefined) return undefined;
  const [way, position] = half === "input_blocks" ? ["down_blocks", Number(number) - 1] : ["up_blocks", Number(number)];
  const block = `${way}.${Math.floor(position / (layers + 1))}`;
  const layer = position % (layers + 1);
  if (inside === "op") return `${block}.downsamplers.0.conv.${parameter}`;
  if (inside === "conv") return `${block}.upsamplers.0.conv.${parameter}`;
  if (part === "1") return `${block}.attentions.${layer}.${inside}.${parameter}`;
  return resnet && `${block}.resnets.${layer}.${resnet}.${parameter}`;
}

const VAE_RESNET: Names = {
  norm1: "norm1",
  conv1: "conv1",
  norm2: "norm2",
  conv2: "conv2",
  nin_shortcut: "conv_shortcut",
};
const VAE_ATTENTION: Names = { norm: "group_norm", q: "to_q", k: "to_k", v: "to_v", proj_out: "to_out.0" };
const VAE_ENDS: Names = { conv_in: "conv_in", conv_out: "conv_out", norm_out: "conv_norm_out" };

/**
 * diffusers' name of a tensor of the autoencoder; the original numbers the decoder's `levels` starting at the image,
 * diffusers starting at the latents.
 */
export function autoencoderName(name: string, levels: number): string | undefined {
  const { module, parameter } = split(name);
  if (module === "quant_conv" || module === "post_quant_conv") return name;
  const [, half, inside = ""] = /^(encoder|decoder)\.(.+)$/.exec(module) ?? [];
  if (VAE_ENDS[inside] !== undefined) return `${half}.${VAE_ENDS[inside]}.${parameter}`;
  const [, middle, middlePart = ""] = /^mid\.(block_1|block_2|attn_1)\.(.+)$/.exec(inside) ?? [];
  if (middle === "attn_1")
    return VAE_ATTENTION[middlePart] && `${half}.mid_block.attentions.0.${VAE_ATTENTION[middlePart]}.${parameter}`;
  if (middle !== undefined)
    return (
      VAE_RESNET[middlePart] &&
      `${half}.mid_block.resnets.${middle === "block_1" ? 0 : 1}.${VAE_RESNET[middlePart]}.${parameter}`
    );
  const [, way, number, layer, part = ""] =
    /^(down|up)\.(\d+)\.(?:block\.(\d+)\.(\w+)|(?:down|up)sample\.conv)$/.exec(inside) ?? [];
  if (way === undefined) return undefined;
  const block = `${half}.${way}_blocks.${way === "down" ? number : levels - 1 - Number(number)}`;
  if (layer === undefined) return `${block}.${way}samplers.0.conv.${parameter}`;
  return VAE_RESNET[part] && `${block}.resnets.${layer}.${VAE_RESNET[part]}.${parameter}`;
}

const OPEN_CLIP_ENDS: Names = {
  "token_embedding.weight": "embeddings.token_embedding.weight",
  positional_embedding: "embeddings.position_embedding.weight",
  "ln_final.weight": "final_layer_norm.weight",
  "ln_final.bias": "final_layer_norm.bias",
};
const OPEN_CLIP_LAYER: Names = {
  ln_1: "layer_norm1",
  ln_2: "layer_norm2",
  "mlp.c_fc": "mlp.fc1",
  "mlp.c_proj": "mlp.fc2",
  "attn.out_proj": "self_attn.out_proj",
};

/** The UNet's tensors under diffusers' names. */
export function unetTensors(tensors: Tensors, layers: number): Tensors {
  return renamed(tensors, UNET_PREFIX, (name) => unetName(name, layers));
}

/**
 * The autoencoder's tensors under diffusers' names. The original's attention is made of 1 × 1 convolutions, diffusers'
 * of matrices.
 */
export function autoencoderTensors(tensors: Tensors, levels: number): Tensors {
  const prefix = VAE_PREFIXES.find((each) => hasPrefix(tensors, each)) ?? VAE_PREFIXES[0];
  const found = renamed(tensors, prefix, (name) => autoencoderName(name, levels));
  return new Map([...found].map(([name, entry]) => [name, name.includes(".attentions.") ? asMatrix(entry) : entry]));
}

/**
 * The text encoder's, of either kind, under transformers 5's names. OpenCLIP keeps queries, keys and values in one
 * matrix.
 */
export function textEncoderTensors(tensors: Tensors): Tensors {
  if (hasPrefix(tensors, CLIP_PREFIX)) return renamed(tensors, CLIP_PREFIX, (name) => name);
  const found = new Map<string, TensorEntry>();
  for (const [name, entry] of renamed(tensors, OPEN_CLIP_PREFIX, (each) => each)) {
    const [, layer, inside = ""] = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(name) ?? [];
    const prefix = `encoder.layers.${layer}`;
    const { module, parameter } = split(inside);
    const [, fused] = /^attn\.in_proj_(weight|bias)$/.exec(inside) ?? [];
    if (OPEN_CLIP_ENDS[name] !== undefined) found.set(OPEN_CLIP_ENDS[name], entry);
    else if (fused !== undefined)
      ["q", "k", "v"].forEach((letter, third) =>
        found.set(`${prefix}.self_attn.${letter}_proj.${fused}`, rows(entry, third, 3)),
      );
    else if (OPEN_CLIP_LAYER[module] !== undefined)
      found.set(`${prefix}.${OPEN_CLIP_LAYER[module]}.${parameter}`, entry);
  }
  return found;
}

export function hasPrefix(tensors: Tensors, prefix: string): boolean {
  return [...tensors.keys()].some((name) => name.startsWith(prefix));
}

function renamed(
  tensors: Tensors,
  prefix: string,
  nameOf: (name: string) => string | undefined,
): Map<string, TensorEntry> {
  return new Map(
    [...tensors].flatMap(([name, entry]) => {
      const to = name.startsWith(prefix) ? nameOf(name.slice(prefix.length)) : undefined;
      return to === undefined ? [] : [[to, entry] as const];
    }),
  );
}

/** One of `of` equal parts of the first axis, which lie one after the other in the file. */
function rows(
  { dtype, dims: [count, ...others], byteOffset, byteLength }: TensorEntry,
  part: number,
  of: number,
): TensorEntry {
  return {
    dtype,
    dims: [count / of, ...others],
    byteOffset: byteOffset + (part * byteLength) / of,
    byteLength: byteLength / of,
  };
}

/** [rows, columns, 1, 1] → [rows, columns] */
function asMatrix(entry: TensorEntry): TensorEntry {
  return entry.dims.slice(2).every((dim) => dim === 1) ? { ...entry, dims: entry.dims.slice(0, 2) } : entry;
}

function split(name: string): { readonly module: string; readonly parameter: string } {
  const dot = name.lastIndexOf(".");
  return { module: name.slice(0, dot), parameter: name.slice(dot + 1) };
}
