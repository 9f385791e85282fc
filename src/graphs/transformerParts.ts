import type { Block, BlockInput, BlockKind, Extent, Stage } from "./block.js";
import {
  attendsTo,
  attentionMultiplyAdds,
  feedForward,
  feedForwardMultiplyAdds,
  layerAttention,
  layerAttentionWeights,
  projectIn,
  projectOut,
} from "./spatialTransformer.js";
import type { AttentionName, SpatialTransformer } from "./spatialTransformer.js";

/**
 * A spatial transformer as stages: proj_in, then attn1, attn2 and ff of each layer as blocks of their
 * own (branch before the residual), then proj_out, which has the transformer's id, and so its C and out.
 */
export function transformerParts(
  transformer: SpatialTransformer,
  x: BlockInput,
  context: BlockInput,
  extent: (latents: Extent) => Extent,
): (Stage | Block)[] {
  const { name, channels, layers, contextWidth } = transformer;
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
    inner: Pick<Block, "branch" | "multiplyAdds" | "attention">,
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
      merge: (graph, [hidden], value) => graph.node("Add", [hidden, value]),
      ...inner,
    });
    tokens = { value: id, dims: tokenDims };
  };
  const attend = (which: AttentionName, layer: number): void => {
    const to = attendsTo(transformer, which);
    append(which, layer, {
      branch: (graph, [hidden, source]) => layerAttention(graph, transformer, layer, which, hidden, source),
      multiplyAdds: (latents, contextTokens) => {
        const [keys, width] = to === "text" ? [contextTokens, contextWidth] : [pixels(latents), channels];
        return attentionMultiplyAdds(transformer, pixels(latents), keys, width);
      },
      attention: {
        to,
        weights: (graph, [hidden, source], queries) =>
          layerAttentionWeights(graph, transformer, layer, which, hidden, source, queries),
      },
    });
  };

  for (let layer = 0; layer < layers; layer++) {
    attend("attn1", layer);
    attend("attn2", layer);
    append("ff", layer, {
      branch: (graph, [hidden]) => feedForward(graph, transformer, layer, hidden),
      multiplyAdds: (latents) => feedForwardMultiplyAdds(transformer, pixels(latents)),
    });
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
