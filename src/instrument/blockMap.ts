import { emptyConditions } from "../diffusion/conditioning.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { Block, BlockKind } from "../graphs/block.js";
import { BRANCH, declareInputs, hasMerge, outputElementType } from "../graphs/block.js";
import { FLOAT32, GraphBuilder } from "../graphs/graphBuilder.js";
import { ELEMENT_BYTES } from "../graphs/onnx.js";
import { selectableBlocks } from "./hooks/blockSelection.js";
import { median } from "./profile/statistics.js";

/** One block that can be hooked, as a dry run lists it. */
export interface BlockMapEntry {
  /** diffusers module path */
  readonly id: string;
  readonly kind: BlockKind;
  /** the spatial transformer that contains it */
  readonly inside?: string;
  /** of C for one batch row: [channels, height, width], or [tokens, width] inside a transformer */
  readonly shape: readonly number[];
  /** height and width of the feature maps */
  readonly resolution: readonly [height: number, width: number];
  readonly channels: number;
  /** of C for one batch row, in its own element type */
  readonly bytes: number;
  readonly parameters: number;
  /** those of them that reusing the block also needs (a ResNet block's shortcut): held twice once it is reused */
  readonly sharedParameters: number;
  /** of one batch row */
  readonly multiplyAdds: number;
  /** whether the kinds `all` include it; conv_in and conv_out can be cached too, where they are named */
  readonly cacheable: boolean;
  /** measured seconds of one evaluation, where asked for */
  readonly seconds?: number;
}

/**
 * Lists every block of a model that can be hooked, before anything is sampled.
 *
 * @param latentSize latent height and width; default: what the model was trained at
 * @throws ArgumentError where the model does not say what it was trained at, and no size is given
 */
export function blockMap(
  pipeline: Pipeline,
  latentSize: readonly [height: number, width: number] = pipeline.defaultLatentSize,
): BlockMapEntry[] {
  const [height, width] = latentSize;
  const tokens = pipeline.text.tokenizers[0].length;
  const { precision } = pipeline.device;
  return selectableBlocks(pipeline.network.unet).map(({ block, inside }) => {
    const extent = block.extent({ height, width });
    const pixels = extent.height * extent.width;
    return {
      id: block.id,
      kind: block.kind,
      inside,
      shape: inside === undefined ? [block.channels, extent.height, extent.width] : [pixels, block.channels],
      resolution: [extent.height, extent.width],
      channels: block.channels,
      bytes: pixels * block.channels * ELEMENT_BYTES[outputElementType(block, precision)],
      ...countParameters(block),
      multiplyAdds: block.multiplyAdds({ height, width }, tokens),
      cacheable: block.kind !== "conv_in" && block.kind !== "conv_out",
    };
  });
}

/**
 * Measures the seconds that each block takes in one network evaluation (the median of `repeats`),
 * with the guidance halves of one image.
 */
export async function timeBlocks(
  pipeline: Pipeline,
  repeats = 5,
  latentSize: readonly [height: number, width: number] = pipeline.defaultLatentSize,
): Promise<Map<string, number>> {
  const { in_channels } = pipeline.folder.unet;
  const dims = [2, in_channels, ...latentSize];
  const sample = { dims, data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)) };
  const conditions = await emptyConditions(pipeline, 2, latentSize);
  const seconds = new Map<string, number[]>();
  const WARM_UP = 1;
  for (let run = 0; run < repeats + WARM_UP; run++) {
    await pipeline.network.forward(
      { sample, timestep: 500, ...conditions },
      { onStageTime: (id, taken) => run >= WARM_UP && seconds.set(id, [...(seconds.get(id) ?? []), taken]) },
    );
  }
  return new Map([...seconds].map(([id, taken]) => [id, median(taken)]));
}

function countParameters(block: Block): Pick<BlockMapEntry, "parameters" | "sharedParameters"> {
  const graph = new GraphBuilder(block.id, FLOAT32);
  const inputs = declareInputs(graph, block);
  const branch = block.branch(graph, inputs);
  if (!hasMerge(block)) return { parameters: graph.parameterCount(), sharedParameters: 0 };
  block.merge(graph, inputs, branch);
  const merge = new GraphBuilder(block.id, FLOAT32);
  block.merge(merge, declareInputs(merge, block, block.mergeInputs), merge.input(BRANCH, block.outputDims));
  return { parameters: graph.parameterCount(), sharedParameters: merge.parameterCount() };
}
