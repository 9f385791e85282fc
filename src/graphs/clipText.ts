/**
 * CLIPTextModel and CLIPTextModelWithProjection as ONNX graphs, one per layer (transformers 5:
 * models/clip/modeling_clip.py). A single graph would have all layers of SDXL's larger one in JavaScript's memory at
 * once.
 */
import type { ClipTextConfig } from "../models/configs/clipText.js";
import { FLOAT32, GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget, Value } from "./graphBuilder.js";
import { clipLayer } from "./clipLayer.js";
import { cast, layerNorm, linear } from "./layers.js";

/** A text encoder's shape, and what its weights are called. */
export interface ClipText {
  readonly config: ClipTextConfig;
  /** of a prompt; at most the config's max_position_embeddings */
  readonly tokens: number;
  /** of the names in the weights file */
  readonly prefix: string;
}

/** input_ids [batch, tokens] int32 → hidden_states[0] [batch, tokens, width] */
export function clipEmbeddingsGraph({ config, tokens, prefix }: ClipText, target: GraphTarget): GraphBuilder {
  const graph = new GraphBuilder("clip embeddings", target);
  const { hidden_size: width, max_position_embeddings, vocab_size } = config;
  const ids = graph.input("x", ["batch", tokens], "int32");
  const embedded = graph.node(
    "Gather",
    [graph.weight(`${prefix}embeddings.token_embedding.weight`, [vocab_size, width]), ids],
    { axis: 0n },
  );
  const positions = graph.weight(`${prefix}embeddings.position_embedding.weight`, [max_position_embeddings, width]);
  const used =
    tokens === max_position_embeddings
      ? positions
      : graph.node("Slice", [positions, graph.integers([0]), graph.integers([tokens])]);
  graph.output("y", graph.node("Add", [embedded, used]), ["batch", tokens, width]);
  return graph;
}

/** hidden_states[layer] → hidden_states[layer + 1], both [batch, tokens, width] */
export function clipLayerGraph({ config, tokens, prefix }: ClipText, layer: number, target: GraphTarget): GraphBuilder {
  const name = `${prefix}encoder.layers.${layer}`;
  const graph = new GraphBuilder(name, target);
  const dims = ["batch", tokens, config.hidden_size];
  graph.output("y", clipLayer(graph, graph.input("x", dims), name, config, causalMask(graph, tokens)), dims);
  return graph;
}

/** hidden states → final_layer_norm of them, both [batch, tokens, width] */
export function clipNormGraph({ config, tokens, prefix }: ClipText, target: GraphTarget): GraphBuilder {
  const graph = new GraphBuilder("clip norm", target);
  const { hidden_size: width, layer_norm_eps: epsilon } = config;
  const hidden = graph.input("x", ["batch", tokens, width]);
  graph.output("y", layerNorm(graph, hidden, `${prefix}final_layer_norm`, width, epsilon), ["batch", tokens, width]);
  return graph;
}

/** normed last hidden states [batch, tokens, width], and input_ids → text_embeds [batch, projection_dim] */
export function clipProjectionGraph({ config, tokens }: ClipText, endToken: number, target: GraphTarget): GraphBuilder {
  const graph = new GraphBuilder("clip projection", target);
  const { hidden_size: width } = config;
  const projection = config.projection_dim ?? width;
  const hidden = graph.input("x", ["batch", tokens, width]);
  const ids = cast(graph, graph.input("input_ids", ["batch", tokens], "int32"), "float32");
  // A config from before transformers 4.32 says 2 for every model; the end token is then the one with the highest id.
  const isEnd =
    endToken === 2
      ? ids
      : cast(
          graph,
          graph.node("Equal", [ids, graph.constant({ dims: [], data: Float32Array.of(endToken) }, "float32")]),
          "float32",
        );
  const position = graph.node("ArgMax", [isEnd], { axis: 1n, keepdims: 1n });
  const pooled = graph.node("GatherND", [hidden, position], { batch_dims: 1n });
  graph.output("y", linear(graph, pooled, "text_projection", width, projection, { bias: false }), [
    "batch",
    projection,
  ]);
  return graph;
}

/** Number of parameters, without a projection's. */
export function clipParameterCount(clip: ClipText): number {
  const layer = clipLayerGraph(clip, 0, FLOAT32).parameterCount();
  return (
    clipEmbeddingsGraph(clip, FLOAT32).parameterCount() +
    clip.config.num_hidden_layers * layer +
    clipNormGraph(clip, FLOAT32).parameterCount()
  );
}

/** Each token attends to itself and to those before it: [1, 1, tokens, tokens], added to the scores. */
function causalMask(graph: GraphBuilder, tokens: number): Value {
  // The most negative finite number, because −∞ would turn a fully masked row into NaN.
  const masked = graph.precision === "float16" ? -65504 : -3.4028234e38;
  const data = new Float32Array(tokens * tokens);
  for (let query = 0; query < tokens; query++) data.fill(masked, query * tokens + query + 1, (query + 1) * tokens);
  return graph.constant({ dims: [1, 1, tokens, tokens], data });
}
