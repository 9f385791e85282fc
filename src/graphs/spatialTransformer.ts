import { attention, attentionWeights, fromTokens, geglu, groupNorm, layerNorm, linear, toTokens } from "./layers.js";
import type { AttentionOptions } from "./layers.js";
import type { GraphBuilder, Value } from "./graphBuilder.js";

/** diffusers' Transformer2DModel over feature maps (models/transformers/transformer_2d.py). */
export interface SpatialTransformer {
  readonly name: string;
  readonly channels: number;
  readonly heads: number;
  /** number of BasicTransformerBlocks */
  readonly layers: number;
  readonly contextWidth: number;
  readonly groups: number;
  /** projections are linear layers instead of 1×1 convolutions */
  readonly useLinearProjection: boolean;
  /** attn1 attends to the context as well, instead of to the pixels */
  readonly onlyCrossAttention: boolean;
  readonly upcastAttention: boolean;
}

// Transformer2DModel fixes the first; the second is the default of BasicTransformerBlock's LayerNorm.
const GROUP_NORM_EPSILON = 1e-6;
const LAYER_NORM_EPSILON = 1e-5;

/** The feed-forward layer widens fourfold (diffusers' FeedForward, mult=4). */
const FEED_FORWARD_FACTOR = 4;

/** norm, proj_in: feature maps → tokens. */
export function projectIn(graph: GraphBuilder, transformer: SpatialTransformer, x: Value): Value {
  const { name, channels, groups } = transformer;
  const normalised = groupNorm(graph, x, `${name}.norm`, channels, groups, GROUP_NORM_EPSILON);
  return linear(
    graph,
    toTokens(graph, normalised, channels),
    `${name}.proj_in`,
    channels,
    channels,
    projectionDims(transformer),
  );
}

/** proj_out: tokens → C, feature maps of the shape of `like`. */
export function projectOut(graph: GraphBuilder, transformer: SpatialTransformer, tokens: Value, like: Value): Value {
  const { name, channels } = transformer;
  const projected = linear(graph, tokens, `${name}.proj_out`, channels, channels, projectionDims(transformer));
  return fromTokens(graph, projected, like);
}

function projectionDims({ channels, useLinearProjection }: SpatialTransformer): { storedDims?: readonly number[] } {
  return useLinearProjection ? {} : { storedDims: [channels, channels, 1, 1] };
}

/**
 * A layer's attention: attn1 looks at the pixels themselves (with onlyCrossAttention at the text), attn2 at the text.
 */
export type AttentionName = "attn1" | "attn2";

/** What a layer's attention looks at. */
export function attendsTo({ onlyCrossAttention }: SpatialTransformer, attention: AttentionName): "pixels" | "text" {
  return attention === "attn1" && !onlyCrossAttention ? "pixels" : "text";
}

/** Self- or cross-attention of one layer, before its residual. */
export function layerAttention(
  graph: GraphBuilder,
  transformer: SpatialTransformer,
  layer: number,
  which: AttentionName,
  tokens: Value,
  context: Value,
): Value {
  const { name, normalised, source, sourceWidth } = attended(graph, transformer, layer, which, tokens, context);
  const { channels } = transformer;
  const query = linear(graph, normalised, `${name}.to_q`, channels, channels, { bias: false });
  const key = linear(graph, source, `${name}.to_k`, sourceWidth, channels, { bias: false });
  const value = linear(graph, source, `${name}.to_v`, sourceWidth, channels, { bias: false });
  const result = attention(graph, query, key, value, headsOf(transformer));
  return linear(graph, result, `${name}.to_out.0`, channels, channels);
}

/** The weights of that attention for some of its queries, as in {@link BlockAttention}. */
export function layerAttentionWeights(
  graph: GraphBuilder,
  transformer: SpatialTransformer,
  layer: number,
  which: AttentionName,
  tokens: Value,
  context: Value,
  queries: Value,
): Value {
  const { name, normalised, source, sourceWidth } = attended(graph, transformer, layer, which, tokens, context);
  const { channels } = transformer;
  const asking = graph.node("Gather", [normalised, queries], { axis: 1n });
  const query = linear(graph, asking, `${name}.to_q`, channels, channels, { bias: false });
  const key = linear(graph, source, `${name}.to_k`, sourceWidth, channels, { bias: false });
  return attentionWeights(graph, query, key, headsOf(transformer));
}

function attended(
  graph: GraphBuilder,
  transformer: SpatialTransformer,
  layer: number,
  which: AttentionName,
  tokens: Value,
  context: Value,
): { name: string; normalised: Value; source: Value; sourceWidth: number } {
  const { channels, contextWidth } = transformer;
  const path = `${transformer.name}.transformer_blocks.${layer}`;
  const norm = which === "attn1" ? "norm1" : "norm2";
  const normalised = layerNorm(graph, tokens, `${path}.${norm}`, channels, LAYER_NORM_EPSILON);
  return attendsTo(transformer, which) === "pixels"
    ? { name: `${path}.${which}`, normalised, source: normalised, sourceWidth: channels }
    : { name: `${path}.${which}`, normalised, source: context, sourceWidth: contextWidth };
}

function headsOf({ channels, heads, upcastAttention }: SpatialTransformer): AttentionOptions {
  return { heads, headWidth: channels / heads, upcast: upcastAttention };
}

/** Feed-forward with GEGLU of one layer, before its residual. */
export function feedForward(graph: GraphBuilder, transformer: SpatialTransformer, layer: number, tokens: Value): Value {
  const { channels } = transformer;
  const name = `${transformer.name}.transformer_blocks.${layer}`;
  const width = FEED_FORWARD_FACTOR * channels;
  const normalised = layerNorm(graph, tokens, `${name}.norm3`, channels, LAYER_NORM_EPSILON);
  const gated = geglu(graph, normalised, `${name}.ff.net.0.proj`, channels, width);
  return linear(graph, gated, `${name}.ff.net.2`, width, channels);
}

/** C of the whole transformer: project in, every layer with its residuals, project out. */
export function transformerBranch(
  graph: GraphBuilder,
  transformer: SpatialTransformer,
  x: Value,
  context: Value,
): Value {
  let tokens = projectIn(graph, transformer, x);
  for (let layer = 0; layer < transformer.layers; layer++) {
    tokens = graph.node("Add", [tokens, layerAttention(graph, transformer, layer, "attn1", tokens, context)]);
    tokens = graph.node("Add", [tokens, layerAttention(graph, transformer, layer, "attn2", tokens, context)]);
    tokens = graph.node("Add", [tokens, feedForward(graph, transformer, layer, tokens)]);
  }
  return projectOut(graph, transformer, tokens, x);
}

/** Multiply-adds of one image's attention with `keys` keys: scores, weighting, and the four projections. */
export function attentionMultiplyAdds(
  transformer: SpatialTransformer,
  tokens: number,
  keys: number,
  sourceWidth: number,
): number {
  const { channels } = transformer;
  return 2 * tokens * channels * channels + 2 * keys * sourceWidth * channels + 2 * tokens * keys * channels;
}

/** Multiply-adds of one image's feed-forward layer. */
export function feedForwardMultiplyAdds({ channels }: SpatialTransformer, tokens: number): number {
  return tokens * channels * channels * FEED_FORWARD_FACTOR * 3;
}
