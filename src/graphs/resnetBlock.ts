import { conv2d, groupNorm, linear } from "./layers.js";
import type { Activation } from "./layers.js";
import type { GraphBuilder, Value } from "./graphBuilder.js";

/** diffusers' ResnetBlock2D (models/resnet.py), as Stable Diffusion configures it. */
export interface ResnetBlock {
  readonly name: string;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly epsilon: number;
  readonly activation: Activation;
  /** width of the time embedding; undefined in the autoencoder, which has none */
  readonly timeEmbeddingWidth?: number;
  readonly outputScaleFactor: number;
}

/**
 * C = conv2(act(norm2(conv1(act(norm1(x))) + time embedding))).
 * `timeEmbedding` is act(embedding) [1 or batch, width]: the activation is the same for every block
 * and is computed once.
 */
export function resnetBranch(graph: GraphBuilder, block: ResnetBlock, x: Value, timeEmbedding?: Value): Value {
  const { name, inChannels, outChannels, groups, epsilon } = block;
  let hidden = groupNorm(graph, x, `${name}.norm1`, inChannels, groups, epsilon, block.activation);
  hidden = conv2d(graph, hidden, `${name}.conv1`, inChannels, outChannels, { kernel: 3, padding: 1 });
  if (block.timeEmbeddingWidth !== undefined && timeEmbedding !== undefined) {
    const projected = linear(graph, timeEmbedding, `${name}.time_emb_proj`, block.timeEmbeddingWidth, outChannels);
    hidden = graph.node("Add", [hidden, graph.node("Unsqueeze", [projected, graph.integers([2, 3])])]);
  }
  hidden = groupNorm(graph, hidden, `${name}.norm2`, outChannels, groups, epsilon, block.activation);
  return conv2d(graph, hidden, `${name}.conv2`, outChannels, outChannels, { kernel: 3, padding: 1 });
}

/** out = (shortcut(x) + C) / output_scale_factor */
export function resnetMerge(graph: GraphBuilder, block: ResnetBlock, x: Value, branch: Value): Value {
  const { name, inChannels, outChannels } = block;
  const residual =
    inChannels === outChannels ? x : conv2d(graph, x, `${name}.conv_shortcut`, inChannels, outChannels, { kernel: 1 });
  const sum = graph.node("Add", [residual, branch]);
  if (block.outputScaleFactor === 1) return sum;
  const scale = graph.constant({ dims: [], data: Float32Array.of(block.outputScaleFactor) });
  return graph.node("Div", [sum, scale]);
}

/** Multiply-adds of one image, shortcut and time embedding included. */
export function resnetMultiplyAdds(block: ResnetBlock, pixels: number): number {
  const { inChannels, outChannels } = block;
  const shortcut = inChannels === outChannels ? 0 : inChannels * outChannels;
  return (
    pixels * (9 * outChannels * (inChannels + outChannels) + shortcut) + (block.timeEmbeddingWidth ?? 0) * outChannels
  );
}
