/**
 * AutoencoderKL as two ONNX graphs (diffusers 0.42: models/autoencoders/autoencoder_kl.py, vae.py).
 */
import type { AutoencoderConfig } from "../models/configs/autoencoder.js";
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget, Value } from "./graphBuilder.js";
import { attention, cast, conv2d, doubleNearest, fromTokens, groupNorm, linear, toTokens } from "./layers.js";
import { resnetBranch, resnetMerge } from "./resnetBlock.js";
import type { ResnetBlock } from "./resnetBlock.js";

/** ε of every GroupNorm */
export const AUTOENCODER_EPSILON = 1e-6;

/** What the projections of the mid block's attention are called in the weights file. */
export type AttentionNames = readonly [query: string, key: string, value: string, out: string];

export const ATTENTION_NAMES: AttentionNames = ["to_q", "to_k", "to_v", "to_out.0"];

/** Names from before diffusers 0.17; Stable Diffusion 1.x was published with them. */
export const DEPRECATED_ATTENTION_NAMES: AttentionNames = ["query", "key", "value", "proj_attn"];

/** latents [batch, latent_channels, height, width] float32, already divided by scaling_factor → image [batch, 3, …] in about −1…1 */
export function decoderGraph(
  config: AutoencoderConfig,
  target: GraphTarget,
  attentionNames: AttentionNames,
): GraphBuilder {
  const graph = new GraphBuilder("vae decoder", target);
  const levels = [...config.block_out_channels].reverse();
  const network = new AutoencoderLayers(graph, config, attentionNames);
  let hidden = decoderHead(graph, config, network);
  let channels = levels[0];
  levels.forEach((outChannels, level) => {
    const name = `decoder.up_blocks.${level}`;
    for (let layer = 0; layer <= config.layers_per_block; layer++) {
      hidden = network.resnet(hidden, `${name}.resnets.${layer}`, channels, outChannels);
      channels = outChannels;
    }
    if (level < levels.length - 1) {
      hidden = conv2d(graph, doubleNearest(graph, hidden), `${name}.upsamplers.0.conv`, channels, channels, {
        kernel: 3,
        padding: 1,
      });
    }
  });
  hidden = network.leave(hidden, "decoder", channels, config.out_channels);
  graph.output(
    "image",
    toFloat32(graph, hidden),
    ["batch", config.out_channels, "image_height", "image_width"],
    "float32",
  );
  return graph;
}

/** latents, as the decoder takes them → its mid block's output [batch, channels, height, width] float32 */
export function decoderHeadGraph(
  config: AutoencoderConfig,
  target: GraphTarget,
  attentionNames: AttentionNames,
): GraphBuilder {
  const graph = new GraphBuilder("vae decoder head", target);
  const hidden = decoderHead(graph, config, new AutoencoderLayers(graph, config, attentionNames));
  const channels = config.block_out_channels[config.block_out_channels.length - 1];
  graph.output("hidden", toFloat32(graph, hidden), ["batch", channels, "height", "width"], "float32");
  return graph;
}

function decoderHead(graph: GraphBuilder, config: AutoencoderConfig, network: AutoencoderLayers): Value {
  const { latent_channels, block_out_channels } = config;
  const channels = block_out_channels[block_out_channels.length - 1];
  let hidden = network.enter("latents", latent_channels);
  if (config.use_post_quant_conv)
    hidden = conv2d(graph, hidden, "post_quant_conv", latent_channels, latent_channels, { kernel: 1 });
  hidden = conv2d(graph, hidden, "decoder.conv_in", latent_channels, channels, { kernel: 3, padding: 1 });
  return network.midBlock(hidden, "decoder.mid_block", channels);
}

/** pixels [batch, in_channels, height, width] float32 in −1…1 → mean of the latents' distribution, unscaled */
export function encoderGraph(
  config: AutoencoderConfig,
  target: GraphTarget,
  attentionNames: AttentionNames,
): GraphBuilder {
  const graph = new GraphBuilder("vae encoder", target);
  const { in_channels, latent_channels, block_out_channels } = config;
  const network = new AutoencoderLayers(graph, config, attentionNames);

  let hidden = network.enter("pixels", in_channels);
  let channels = block_out_channels[0];
  hidden = conv2d(graph, hidden, "encoder.conv_in", in_channels, channels, { kernel: 3, padding: 1 });
  block_out_channels.forEach((outChannels, level) => {
    const name = `encoder.down_blocks.${level}`;
    for (let layer = 0; layer < config.layers_per_block; layer++) {
      hidden = network.resnet(hidden, `${name}.resnets.${layer}`, channels, outChannels);
      channels = outChannels;
    }
    if (level < block_out_channels.length - 1) {
      hidden = conv2d(graph, hidden, `${name}.downsamplers.0.conv`, channels, channels, {
        kernel: 3,
        stride: 2,
        padding: [0, 0, 1, 1],
      });
    }
  });
  hidden = network.midBlock(hidden, "encoder.mid_block", channels);
  const moments = 2 * latent_channels;
  hidden = network.leave(hidden, "encoder", channels, moments);
  if (config.use_quant_conv) hidden = conv2d(graph, hidden, "quant_conv", moments, moments, { kernel: 1 });
  const [mean] = graph.nodeWithOutputs("Split", 2, [hidden], { axis: 1n, num_outputs: 2n });
  graph.output(
    "latent_mean",
    toFloat32(graph, mean),
    ["batch", latent_channels, "latent_height", "latent_width"],
    "float32",
  );
  return graph;
}

function toFloat32(graph: GraphBuilder, x: Value): Value {
  return graph.precision === "float16" ? cast(graph, x, "float32") : x;
}

class AutoencoderLayers {
  readonly #graph: GraphBuilder;
  readonly #config: AutoencoderConfig;
  readonly #attentionNames: AttentionNames;

  constructor(graph: GraphBuilder, config: AutoencoderConfig, attentionNames: AttentionNames) {
    this.#graph = graph;
    this.#config = config;
    this.#attentionNames = attentionNames;
  }

  enter(name: string, channels: number): Value {
    const input = this.#graph.input(name, ["batch", channels, "height", "width"], "float32");
    return this.#graph.precision === "float16" ? cast(this.#graph, input, "float16") : input;
  }

  /** conv_norm_out, activation, conv_out */
  leave(x: Value, name: string, inChannels: number, outChannels: number): Value {
    const graph = this.#graph;
    // Encoder and Decoder build their last activation as nn.SiLU, whatever act_fn says.
    const { norm_num_groups } = this.#config;
    const norm = `${name}.conv_norm_out`;
    const normalised = groupNorm(graph, x, norm, inChannels, norm_num_groups, AUTOENCODER_EPSILON, "silu");
    return conv2d(graph, normalised, `${name}.conv_out`, inChannels, outChannels, { kernel: 3, padding: 1 });
  }

  resnet(x: Value, name: string, inChannels: number, outChannels: number): Value {
    const block: ResnetBlock = {
      name,
      inChannels,
      outChannels,
      groups: this.#config.norm_num_groups,
      epsilon: AUTOENCODER_EPSILON,
      activation: this.#config.act_fn,
      outputScaleFactor: 1,
    };
    return resnetMerge(this.#graph, block, x, resnetBranch(this.#graph, block, x));
  }

  midBlock(x: Value, name: string, channels: number): Value {
    let hidden = this.resnet(x, `${name}.resnets.0`, channels, channels);
    if (this.#config.mid_block_add_attention) hidden = this.#attention(hidden, `${name}.attentions.0`, channels);
    return this.resnet(hidden, `${name}.resnets.1`, channels, channels);
  }

  /** One head over all channels, with a residual (models/attention_processor.py, Attention). */
  #attention(x: Value, name: string, channels: number): Value {
    const graph = this.#graph;
    const normalised = groupNorm(
      graph,
      x,
      `${name}.group_norm`,
      channels,
      this.#config.norm_num_groups,
      AUTOENCODER_EPSILON,
    );
    const tokens = toTokens(graph, normalised, channels);
    const [toQuery, toKey, toValue, toOut] = this.#attentionNames;
    const [query, key, value] = [toQuery, toKey, toValue].map((part) =>
      linear(graph, tokens, `${name}.${part}`, channels, channels),
    );
    const attended = attention(graph, query, key, value, { heads: 1, headWidth: channels, upcast: true });
    const projected = linear(graph, attended, `${name}.${toOut}`, channels, channels);
    return graph.node("Add", [x, fromTokens(graph, projected, x)]);
  }
}
