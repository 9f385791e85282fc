import type { Block, BlockInput, BlockKind, Extent, Stage } from "./block.js";
import type { GraphBuilder, Value } from "./graphBuilder.js";
import {
  attentionMultiplyAdds,
  crossAttention,
  feedForward,
  feedForwardMultiplyAdds,
  projectIn,
  projectOut,
  selfAttention,
} from "./spatialTransformer.js";
import type { SpatialTransformer } from "./spatialTransformer.js";

/**
 * A spatial transformer as stages: proj_in, then attn1, attn2 and ff of each layer as blocks of their
 * own (branch before the residual), then proj_out, which carries the transformer's id and so its C and out.
 */
export function transformerParts(
  transformer: SpatialTransformer,
  x: BlockInput,
  context: BlockInput,
  extent: (latents: Extent) => Extent,
): (Stage | Block)[] {
  const { name, channels, layers, contextWidth, onlyCrossAttention } = transformer;
  const tokenDims = ["batch", "pixels", channels] as const;
  const projected = `${name}.proj_in`;
  const parts: (Stage | Block)[] = [
    {
      id: projected,
      inputs: [x],
      outputDims: tokenDims,
      branch: (graph, [hidden]) => projectIn(graph, transformer, hidden),
    },
  ];
  let tokens: BlockInput = { value: projected, dims: tokenDims };

  const pixels = (latents: Extent): number => extent(latents).height * extent(latents).width;
  const append = (
    kind: BlockKind,
    layer: number,
    branch: (graph: GraphBuilder, tokens: Value, context: Value) => Value,
    multiplyAdds: Block["multiplyAdds"],
  ): void => {
    const id = `${name}.transformer_blocks.${layer}.${kind}`;
    parts.push({
      id,
      kind,
      inputs: [tokens, context],
      mergeInputs: [0],
      channels,
      outputDims: tokenDims,
      extent,
      multiplyAdds,
      branch: (graph, [hidden, source]) => branch(graph, hidden, source),
      merge: (graph, [hidden], value) => graph.node("Add", [hidden, value]),
    });
    tokens = { value: id, dims: tokenDims };
  };

  for (let layer = 0; layer < layers; layer++) {
    append(
      "attn1",
      layer,
      (graph, hidden, source) => selfAttention(graph, transformer, layer, hidden, source),
      (latents, contextTokens) => {
        const [keys, width] = onlyCrossAttention ? [contextTokens, contextWidth] : [pixels(latents), channels];
        return attentionMultiplyAdds(transformer, pixels(latents), keys, width);
      },
    );
    append(
      "attn2",
      layer,
      (graph, hidden, source) => crossAttention(graph, transformer, layer, hidden, source),
      (latents, contextTokens) => attentionMultiplyAdds(transformer, pixels(latents), contextTokens, contextWidth),
    );
    append(
      "ff",
      layer,
      (graph, hidden) => feedForward(graph, transformer, layer, hidden),
      (latents) => feedForwardMultiplyAdds(transformer, pixels(latents)),
    );
  }

  const last: Block = {
    id: name,
    kind: "transformer",
    inputs: [x, tokens],
    mergeInputs: [0],
    channels,
    outputDims: ["batch", channels, "height", "width"],
    extent,
    multiplyAdds: (latents) => pixels(latents) * channels * channels,
    branch: (graph, [hidden, value]) => projectOut(graph, transformer, value, hidden),
    merge: (graph, [hidden], branch) => graph.node("Add", [hidden, branch]),
  };
  parts.push(last);
  return parts;
}
