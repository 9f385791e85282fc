import type { GraphBuilder, Value } from "./graphBuilder.js";
import { activation, attention, layerNorm, linear } from "./layers.js";
import type { Activation } from "./layers.js";

/** The shape of a layer in either of CLIP's towers, by transformers' names. */
export interface ClipLayerConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_attention_heads: number;
  readonly hidden_act: Activation;
  readonly layer_norm_eps: number;
}

/**
 * One layer of a CLIP tower: pre-norm attention and pre-norm MLP, both residual (transformers' CLIPEncoderLayer).
 *
 * @param hidden [batch, tokens, width]
 * @param name of the layer in the weights file
 * @param mask added to the attention scores, where tokens may not see each other
 */
export function clipLayer(
  graph: GraphBuilder,
  hidden: Value,
  name: string,
  { hidden_size: width, intermediate_size, num_attention_heads: heads, hidden_act, layer_norm_eps }: ClipLayerConfig,
  mask?: Value,
): Value {
  const normalised = layerNorm(graph, hidden, `${name}.layer_norm1`, width, layer_norm_eps);
  const [query, key, value] = ["q_proj", "k_proj", "v_proj"].map((part) =>
    linear(graph, normalised, `${name}.self_attn.${part}`, width, width),
  );
  const attended = attention(graph, query, key, value, { heads, headWidth: width / heads, bias: mask });
  const seen = graph.node("Add", [hidden, linear(graph, attended, `${name}.self_attn.out_proj`, width, width)]);
  const widened = linear(
    graph,
    layerNorm(graph, seen, `${name}.layer_norm2`, width, layer_norm_eps),
    `${name}.mlp.fc1`,
    width,
    intermediate_size,
  );
  const activated = activation(graph, widened, hidden_act);
  return graph.node("Add", [seen, linear(graph, activated, `${name}.mlp.fc2`, intermediate_size, width)]);
}
