import { isBlock } from "./block.js";
import type { Block, Extent } from "./block.js";
import type { UNet } from "./unet.js";

/**
 * Feature maps, of the size of a block's output, that onnxruntime holds at once while it runs the block: a
 * transformer's feed-forward layer widens its tokens eightfold and keeps halves and products besides; the others hold
 * inputs, normalised and activated copies. Counted from the graphs, on the high side.
 */
const TENSORS_AT_WORK = { transformer: 28, other: 10 } as const;

/** About how many bytes are held at once while a block runs in float32, per batch row. */
function workBytes(block: Block, latents: Extent): number {
  return resultBytes(block, latents) * TENSORS_AT_WORK[block.kind === "transformer" ? "transformer" : "other"];
}

function resultBytes(block: Block, latents: Extent): number {
  const { height, width } = block.extent(latents);
  return 4 * block.channels * height * width;
}

/**
 * About how many bytes an evaluation takes besides the weights, per batch row in float32: every skip connection, and
 * the work of the largest block. All blocks work in the same memory, one after the other.
 */
export function activationBytes(unet: UNet, latents: Extent): number {
  const blocks = unet.stages.filter(isBlock);
  const skips = blocks
    .filter(({ id }) => id === "conv_in" || id.startsWith("down_blocks."))
    .reduce((sum, block) => sum + resultBytes(block, latents), 0);
  return skips + Math.max(...blocks.map((block) => workBytes(block, latents)));
}
