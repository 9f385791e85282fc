/**
 * The vision tower of a CLIPModel as ONNX graphs to be run one after the other: one per layer, so that only one layer's
 * weights are in JavaScript's memory at a time (transformers 5: models/clip/modeling_clip.py).
 */
import type { ClipVisionConfig } from "../models/configs/clipVision.js";
import { clipLayer } from "./clipLayer.js";
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget } from "./graphBuilder.js";
import { concat, layerNorm, linear, toTokens } from "./layers.js";

/** The tower's place in the weights file. */
const PREFIX = "vision_model";

/** Pixels `x` [batch, channels, size, size], normalised → image embeddings `y` [batch, projection], not normalised. */
export function clipVisionGraphs(config: ClipVisionConfig, projection: number, target: GraphTarget): GraphBuilder[] {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layerGraph(config, layer, target));
  return [embeddingsGraph(config, target), ...layers, projectionGraph(config, projection, target)];
}

function tokensOf({ image_size, patch_size }: ClipVisionConfig): number {
  return Math.floor(image_size / patch_size) ** 2 + 1;
}

/** Pixels → a class token and one token per patch, with their positions, normalised. */
function embeddingsGraph(config: ClipVisionConfig, target: GraphTarget): GraphBuilder {
  const { hidden_size: width, num_channels: channels, image_size: size, patch_size: patch } = config;
  const graph = new GraphBuilder("clip vision embeddings", target);
  const pixels = graph.input("x", ["batch", channels, size, size]);
  const extent = [BigInt(patch), BigInt(patch)];
  const maps = graph.node(
    "Conv",
    [pixels, graph.weight(`${PREFIX}.embeddings.patch_embedding.weight`, [width, channels, patch, patch])],
    { kernel_shape: extent, strides: extent },
  );
  const batch = graph.node("Shape", [pixels], { start: 0n, end: 1n });
  const classToken = graph.node("Expand", [
    graph.weight(`${PREFIX}.embeddings.class_embedding`, [width]),
    graph.node("Concat", [batch, graph.integers([1, width])], { axis: 0n }),
  ]);
  const count = tokensOf(config);
  const parts = [
    { value: classToken, size: 1 },
    { value: toTokens(graph, maps, width), size: count - 1 },
  ];
  const tokens = concat(graph, parts, 1);
  const positions = graph.weight(`${PREFIX}.embeddings.position_embedding.weight`, [count, width]);
  const placed = graph.node("Add", [tokens, positions]);
  // The layer's name is misspelt in every published CLIP.
  const normalised = layerNorm(graph, placed, `${PREFIX}.pre_layrnorm`, width, config.layer_norm_eps);
  graph.output("y", normalised, ["batch", count, width]);
  return graph;
}

function layerGraph(config: ClipVisionConfig, layer: number, target: GraphTarget): GraphBuilder {
  const name = `${PREFIX}.encoder.layers.${layer}`;
  const graph = new GraphBuilder(name, target);
  const dims = ["batch", tokensOf(config), config.hidden_size];
  graph.output("y", clipLayer(graph, graph.input("x", dims), name, config), dims);
  return graph;
}

/** The class token, normalised and projected. */
function projectionGraph(config: ClipVisionConfig, projection: number, target: GraphTarget): GraphBuilder {
  const { hidden_size: width, layer_norm_eps: epsilon } = config;
  const graph = new GraphBuilder("clip vision projection", target);
  const hidden = graph.input("x", ["batch", tokensOf(config), width]);
  const first = graph.node("Slice", [hidden, graph.integers([0]), graph.integers([1]), graph.integers([1])]);
  const pooled = graph.node("Reshape", [first, graph.integers([-1, width])]);
  const normalised = layerNorm(graph, pooled, `${PREFIX}.post_layernorm`, width, epsilon);
  graph.output("y", linear(graph, normalised, "visual_projection", width, projection, { bias: false }), [
    "batch",
    projection,
  ]);
  return graph;
}
