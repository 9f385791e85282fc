/** A network as planning sees it: which stage reads what, and how much of C there is to keep. Plain data. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import { isBlock, mergeReads, outputElementType } from "../../graphs/block.js";
import { ELEMENT_BYTES } from "../../graphs/onnx.js";
import { computeReads } from "../../graphs/unet.js";

export interface StageOutline {
  readonly id: string;
  /** values that it reads where it computes: other stages' ids and the network's inputs */
  readonly reads: readonly string[];
  /** values that it reads where its C is reused; absent for a stage that is not a layer block: it always computes */
  readonly merge_reads?: readonly string[];
  /** bytes of C for one batch row; 0 for a stage that is not a layer block */
  readonly bytes_per_row: number;
}

/** The stages in execution order; the last one gives the network's result. */
export type NetworkOutline = readonly StageOutline[];

/** The outline of a pipeline's network at a latent height and width. */
export function networkOutline(
  { network, device }: Pipeline,
  [height, width]: readonly [height: number, width: number],
): NetworkOutline {
  return network.unet.stages.map((stage) => {
    const reads = computeReads(network.unet, stage);
    if (!isBlock(stage)) return { id: stage.id, reads, bytes_per_row: 0 };
    const extent = stage.extent({ height, width });
    const bytes =
      extent.height * extent.width * stage.channels * ELEMENT_BYTES[outputElementType(stage, device.precision)];
    return { id: stage.id, reads, merge_reads: mergeReads(stage), bytes_per_row: bytes };
  });
}
