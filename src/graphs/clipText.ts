/**
 * CLIPTextModel as an ONNX graph (transformers 5: models/clip/modeling_clip.py).
 */
import type { ClipTextConfig } from "../models/configs/clipText.js";
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget, Value } from "./graphBuilder.js";
import { activation, attention, cast, layerNorm, linear } from "./layers.js";

/**
 * input_ids [batch, tokens] int32 → prompt_embeds [batch, tokens, hidden_size] float32.
 *
 * @param clipSkip how many of the last layers are left out, in diffusers' counting (0: none);
 *   the final layer norm is applied in every case (pipeline_stable_diffusion.py, encode_prompt)
 */
export function clipTextGraph(config: ClipTextConfig, target: GraphTarget, clipSkip: number, prefix: string): GraphBuilder {
  const graph = new GraphBuilder("clip text", target);
  const { hidden_size: width, max_position_embeddings: tokens, vocab_size, num_hidden_layers, num_attention_heads: heads, intermediate_size } = config;

  const ids = graph.input("input_ids", ["batch", tokens], "int32");
  const embedded = graph.node("Gather", [graph.weight(`${prefix}embeddings.token_embedding.weight`, [vocab_size, width]), ids], { axis: 0n });
  let hidden: Value = graph.node("Add", [embedded, graph.weight(`${prefix}embeddings.position_embedding.weight`, [tokens, width])]);
  const mask = causalMask(graph, tokens);
  for (let layer = 0; layer < num_hidden_layers - clipSkip; layer++) {
    const name = `${prefix}encoder.layers.${layer}`;
    const normalised = layerNorm(graph, hidden, `${name}.layer_norm1`, width, config.layer_norm_eps);
    const [query, key, value] = ["q_proj", "k_proj", "v_proj"].map((part) => linear(graph, normalised, `${name}.self_attn.${part}`, width, width));
    const attended = attention(graph, query, key, value, { heads, headWidth: width / heads, bias: mask });
    hidden = graph.node("Add", [hidden, linear(graph, attended, `${name}.self_attn.out_proj`, width, width)]);
    const widened = linear(graph, layerNorm(graph, hidden, `${name}.layer_norm2`, width, config.layer_norm_eps), `${name}.mlp.fc1`, width, intermediate_size);
    const activated = activation(graph, widened, config.hidden_act);
    hidden = graph.node("Add", [hidden, linear(graph, activated, `${name}.mlp.fc2`, intermediate_size, width)]);
  }
  const normalised = layerNorm(graph, hidden, `${prefix}final_layer_norm`, width, config.layer_norm_eps);
  const result = graph.precision === "float16" ? cast(graph, normalised, "float32") : normalised;
  graph.output("prompt_embeds", result, ["batch", tokens, width], "float32");
  return graph;
}

/** Each token attends to itself and to what stands before it: [1, 1, tokens, tokens], added to the scores. */
function causalMask(graph: GraphBuilder, tokens: number): Value {
  // A finite number, as half precision has no larger one and −∞ would make NaN of a fully masked row.
  const masked = graph.precision === "float16" ? -65504 : -3.4028234e38;
  const data = new Float32Array(tokens * tokens);
  for (let query = 0; query < tokens; query++) data.fill(masked, query * tokens + query + 1, (query + 1) * tokens);
  return graph.constant({ dims: [1, 1, tokens, tokens], data });
}
