/**
 * UNet2DConditionModel of Stable Diffusion 1.x, 2.x and XL as a list of blocks
 * (diffusers 0.42: models/unets/unet_2d_condition.py, unet_2d_blocks.py).
 */
import { atLevel } from "../models/configs/schema.js";
import type { UNetConfig } from "../models/configs/unet.js";
import type { Block, BlockInput, Extent, Stage } from "./block.js";
import type { GraphBuilder, Value } from "./graphBuilder.js";
import { cast, concat, conv2d, groupNorm, resizeNearest } from "./layers.js";
import { resnetBranch, resnetMerge, resnetMultiplyAdds } from "./resnetBlock.js";
import type { ResnetBlock } from "./resnetBlock.js";
import { attentionMultiplyAdds, feedForwardMultiplyAdds, transformerBranch } from "./spatialTransformer.js";
import type { SpatialTransformer } from "./spatialTransformer.js";
import { TIME_EMBEDDING, timeEmbeddingStage, timeEmbeddingWidth } from "./timestepEmbedding.js";
import { transformerParts } from "./transformerParts.js";

/** The names of the values that a caller feeds, besides those of the time embedding (TIME_INPUTS). */
export const UNET_INPUTS = {
  /** latents [batch, channels, height, width] float32 */
  sample: "sample",
  /** [batch, tokens, width], in the network's precision */
  encoderHiddenStates: "encoder_hidden_states",
} as const;

/** The id of the stage whose output is the network's. */
export const UNET_OUTPUT = "conv_out";

/** A UNet: its stages in execution order, each reading values that earlier ones made. */
export interface UNet {
  readonly config: UNetConfig;
  readonly stages: readonly (Stage | Block)[];
  /** upsampler id → the value whose height and width it enlarges to */
  readonly upsampleTargets: ReadonlyMap<string, string>;
}

/** The values that a stage reads when it computes; an upsampler also reads its target, for its size. */
export function computeReads({ upsampleTargets }: UNet, stage: Stage): readonly string[] {
  const target = upsampleTargets.get(stage.id);
  const read = stage.inputs.map((input) => input.value);
  return target === undefined ? read : [...read, target];
}

/** The name of the int64 [height, width] value that an upsampler reads. */
export function upsampleSizeName(upsampler: string): string {
  return `${upsampler}.size`;
}

/** Describes the network that a config asks for; no weight is read. */
export function describeUNet(config: UNetConfig): UNet {
  return new UNetDescription(config).describe();
}

const FEATURES = ["batch", "height", "width"] as const;

class UNetDescription {
  readonly #config: UNetConfig;
  readonly #levels: number;
  readonly #stages: (Stage | Block)[] = [];
  readonly #upsampleTargets = new Map<string, string>();
  /** the value that the next block reads, and its channels */
  #hidden = { value: "", channels: 0 };
  readonly #skips: { value: string; channels: number }[] = [];
  readonly #timeEmbeddingWidth: number;

  constructor(config: UNetConfig) {
    this.#config = config;
    this.#levels = config.block_out_channels.length;
    this.#timeEmbeddingWidth = timeEmbeddingWidth(config);
  }

  describe(): UNet {
    const config = this.#config;
    this.#stages.push(timeEmbeddingStage(config));
    this.#convIn();
    for (let level = 0; level < this.#levels; level++) this.#downBlock(level);
    this.#midBlock();
    for (let index = 0; index < this.#levels; index++) this.#upBlock(index);
    this.#convOut();
    return { config, stages: this.#stages, upsampleTargets: this.#upsampleTargets };
  }

  #convIn(): void {
    const { in_channels, block_out_channels, conv_in_kernel, center_input_sample } = this.#config;
    const channels = block_out_channels[0];
    this.#push({
      id: "conv_in",
      kind: "conv_in",
      inputs: [{ value: UNET_INPUTS.sample, dims: ["batch", in_channels, "height", "width"], elementType: "float32" }],
      mergeInputs: [],
      channels,
      outputDims: ["batch", channels, "height", "width"],
      extent: (latents) => latents,
      multiplyAdds: ({ height, width }) => height * width * conv_in_kernel ** 2 * in_channels * channels,
      branch: (graph, [sample]) => {
        let input = sample;
        if (center_input_sample) {
          const [two, one] = [2, 1].map((value) =>
            graph.constant({ dims: [], data: Float32Array.of(value) }, "float32"),
          );
          input = graph.node("Sub", [graph.node("Mul", [input, two]), one]);
        }
        if (graph.precision === "float16") input = cast(graph, input, "float16");
        return conv2d(graph, input, "conv_in", in_channels, channels, {
          kernel: conv_in_kernel,
          padding: (conv_in_kernel - 1) >> 1,
        });
      },
    });
    this.#skips.push(this.#hidden);
  }

  #downBlock(level: number): void {
    const { down_block_types, block_out_channels, downsample_padding } = this.#config;
    const name = `down_blocks.${level}`;
    const channels = block_out_channels[level];
    const crossAttention = down_block_types[level] === "CrossAttnDownBlock2D";
    const layers = atLevel(this.#config.layers_per_block, level);
    for (let layer = 0; layer < layers; layer++) {
      this.#resnet(`${name}.resnets.${layer}`, level, channels, 1);
      if (crossAttention) this.#transformer(`${name}.attentions.${layer}`, level, layer, this.#attentionOfLevel(level));
      this.#skips.push(this.#hidden);
    }
    if (level < this.#levels - 1) {
      this.#downsampler(`${name}.downsamplers.0`, level, channels, downsample_padding);
      this.#skips.push(this.#hidden);
    }
  }

  #midBlock(): void {
    const { mid_block_type, mid_block_scale_factor, block_out_channels } = this.#config;
    if (mid_block_type === null) return;
    const level = this.#levels - 1;
    const channels = block_out_channels[level];
    this.#resnet("mid_block.resnets.0", level, channels, mid_block_scale_factor);
    if (mid_block_type === "UNetMidBlock2DCrossAttn") {
      // UNetMidBlock2DCrossAttn knows no only_cross_attention.
      this.#transformer("mid_block.attentions.0", level, 0, {
        ...this.#attentionOfLevel(level),
        onlyCrossAttention: false,
      });
      this.#resnet("mid_block.resnets.1", level, channels, mid_block_scale_factor);
    }
  }

  #upBlock(index: number): void {
    const { up_block_types, block_out_channels, reverse_transformer_layers_per_block } = this.#config;
    const level = this.#levels - 1 - index;
    const name = `up_blocks.${index}`;
    const channels = block_out_channels[level];
    const crossAttention = up_block_types[index] === "CrossAttnUpBlock2D";
    const layers = atLevel(this.#config.layers_per_block, level) + 1;
    const attention = this.#attentionOfLevel(level);
    if (reverse_transformer_layers_per_block !== null)
      attention.layersOfBlock = reverse_transformer_layers_per_block[index];
    for (let layer = 0; layer < layers; layer++) {
      this.#resnet(`${name}.resnets.${layer}`, level, channels, 1, this.#skips.pop());
      if (crossAttention) this.#transformer(`${name}.attentions.${layer}`, level, layer, attention);
    }
    if (index < this.#levels - 1) this.#upsampler(`${name}.upsamplers.0`, level, channels);
  }

  #attentionOfLevel(level: number): AttentionOfLevel {
    const { attention_head_dim, cross_attention_dim, only_cross_attention, transformer_layers_per_block } =
      this.#config;
    return {
      // What diffusers calls attention_head_dim is in truth the number of heads (its issue 2011).
      heads: atLevel(attention_head_dim, level),
      contextWidth: atLevel(cross_attention_dim, level),
      onlyCrossAttention: atLevel(only_cross_attention, level),
      layersOfBlock: atLevel<number | readonly number[]>(transformer_layers_per_block, level),
    };
  }

  #convOut(): void {
    const { out_channels, conv_out_kernel, norm_num_groups, norm_eps, act_fn } = this.#config;
    const { value, channels } = this.#hidden;
    this.#push({
      id: UNET_OUTPUT,
      kind: "conv_out",
      inputs: [features(value, channels)],
      mergeInputs: [],
      channels: out_channels,
      outputDims: ["batch", out_channels, "height", "width"],
      outputType: "float32",
      extent: (latents) => latents,
      multiplyAdds: ({ height, width }) => height * width * conv_out_kernel ** 2 * channels * out_channels,
      branch: (graph, [x]) => {
        const normalised = groupNorm(graph, x, "conv_norm_out", channels, norm_num_groups, norm_eps, act_fn);
        const hidden = conv2d(graph, normalised, "conv_out", channels, out_channels, {
          kernel: conv_out_kernel,
          padding: (conv_out_kernel - 1) >> 1,
        });
        return graph.precision === "float16" ? cast(graph, hidden, "float32") : hidden;
      },
    });
  }

  #resnet(
    id: string,
    level: number,
    outChannels: number,
    outputScaleFactor: number,
    skip?: { value: string; channels: number },
  ): void {
    const { value, channels } = this.#hidden;
    const block: ResnetBlock = {
      name: id,
      inChannels: channels + (skip?.channels ?? 0),
      outChannels,
      groups: this.#config.norm_num_groups,
      epsilon: this.#config.norm_eps,
      activation: this.#config.act_fn,
      timeEmbeddingWidth: this.#timeEmbeddingWidth,
      outputScaleFactor,
    };
    const inputs: BlockInput[] = [
      features(value, channels),
      { value: TIME_EMBEDDING, dims: ["rows", this.#timeEmbeddingWidth] },
    ];
    if (skip) inputs.push(features(skip.value, skip.channels));
    const join = (graph: GraphBuilder, [x, , skipped]: readonly Value[]): Value =>
      skip
        ? concat(
            graph,
            [
              { value: x, size: channels },
              { value: skipped, size: skip.channels },
            ],
            1,
          )
        : x;
    this.#push({
      id,
      kind: "resnet",
      inputs,
      mergeInputs: skip ? [0, 2] : [0],
      channels: outChannels,
      outputDims: ["batch", outChannels, "height", "width"],
      extent: (latents) => this.#extent(latents, level),
      multiplyAdds: (latents) => resnetMultiplyAdds(block, this.#pixels(latents, level)),
      branch: (graph, values) => resnetBranch(graph, block, join(graph, values), values[1]),
      merge: (graph, values, branch) => resnetMerge(graph, block, join(graph, values), branch),
    });
  }

  #transformer(id: string, level: number, index: number, attention: AttentionOfLevel): void {
    const { value, channels } = this.#hidden;
    const { heads, contextWidth, onlyCrossAttention, layersOfBlock } = attention;
    const transformer: SpatialTransformer = {
      name: id,
      channels,
      heads,
      layers: typeof layersOfBlock === "number" ? layersOfBlock : layersOfBlock[index],
      contextWidth,
      groups: this.#config.norm_num_groups,
      useLinearProjection: this.#config.use_linear_projection,
      onlyCrossAttention,
      upcastAttention: this.#config.upcast_attention,
    };
    const x = features(value, channels);
    const context: BlockInput = { value: UNET_INPUTS.encoderHiddenStates, dims: ["batch", "tokens", contextWidth] };
    const extent = (latents: Extent): Extent => this.#extent(latents, level);
    this.#push({
      id,
      kind: "transformer",
      inputs: [x, context],
      mergeInputs: [0],
      channels,
      outputDims: ["batch", channels, "height", "width"],
      extent,
      multiplyAdds: (latents, contextTokens) => {
        const pixels = this.#pixels(latents, level);
        const [keys, width] = onlyCrossAttention ? [contextTokens, contextWidth] : [pixels, channels];
        const layer =
          attentionMultiplyAdds(transformer, pixels, keys, width) +
          attentionMultiplyAdds(transformer, pixels, contextTokens, contextWidth) +
          feedForwardMultiplyAdds(transformer, pixels);
        return 2 * pixels * channels * channels + transformer.layers * layer;
      },
      branch: (graph, [hidden, tokens]) => transformerBranch(graph, transformer, hidden, tokens),
      merge: (graph, [hidden], branch) => graph.node("Add", [hidden, branch]),
      parts: transformerParts(transformer, x, context, extent),
    });
  }

  #downsampler(id: string, level: number, channels: number, padding: number): void {
    this.#push({
      id,
      kind: "downsampler",
      inputs: [features(this.#hidden.value, channels)],
      mergeInputs: [],
      channels,
      outputDims: ["batch", channels, "half_height", "half_width"],
      extent: (latents) => this.#extent(latents, level + 1),
      multiplyAdds: (latents) => this.#pixels(latents, level + 1) * 9 * channels * channels,
      branch: (graph, [x]) =>
        // With padding 0 in the config, Downsample2D pads one row below and one column at the right.
        conv2d(graph, x, `${id}.conv`, channels, channels, {
          kernel: 3,
          stride: 2,
          padding: padding === 0 ? [0, 0, 1, 1] : padding,
        }),
    });
  }

  #upsampler(id: string, level: number, channels: number): void {
    const size: BlockInput = { value: upsampleSizeName(id), dims: [2], elementType: "int64" };
    this.#upsampleTargets.set(id, this.#skips[this.#skips.length - 1].value);
    this.#push({
      id,
      kind: "upsampler",
      inputs: [features(this.#hidden.value, channels), size],
      mergeInputs: [],
      channels,
      outputDims: ["batch", channels, "double_height", "double_width"],
      extent: (latents) => this.#extent(latents, level - 1),
      multiplyAdds: (latents) => this.#pixels(latents, level - 1) * 9 * channels * channels,
      branch: (graph, [x, target]) =>
        conv2d(graph, resizeNearest(graph, x, target), `${id}.conv`, channels, channels, { kernel: 3, padding: 1 }),
    });
  }

  #push(block: Block): void {
    this.#stages.push(block);
    this.#hidden = { value: block.id, channels: block.channels };
  }

  #extent(latents: Extent, level: number): Extent {
    const padding = this.#config.downsample_padding;
    // A 3×3 convolution of stride 2; padding 0 means one row below and one column at the right.
    const halve = (size: number): number => Math.floor((size + (padding === 0 ? 1 : 2 * padding) - 3) / 2) + 1;
    let { height, width } = latents;
    for (let step = 0; step < level; step++) [height, width] = [halve(height), halve(width)];
    return { height, width };
  }

  #pixels(latents: Extent, level: number): number {
    const { height, width } = this.#extent(latents, level);
    return height * width;
  }
}

interface AttentionOfLevel {
  heads: number;
  contextWidth: number;
  onlyCrossAttention: boolean;
  /** transformer layers: one number for all of the level's transformers, or one for each */
  layersOfBlock: number | readonly number[];
}

function features(value: string, channels: number): BlockInput {
  return { value, dims: [FEATURES[0], channels, FEATURES[1], FEATURES[2]] };
}
