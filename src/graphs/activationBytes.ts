import { isBlock } from "./block.js";
import type { Block, Extent } from "./block.js";
import type { UNet } from "./unet.js";

/**
 * Feature maps, of the size of a block's output, that onnxruntime holds at once while it runs the block: a
 * transformer's feed-forward layer widens its tokens by eight and keeps halves and products beside them; the
 * others hold inputs, normalised and activated copies. Counted from the graphs, on the high side.
 */
const TENSORS_AT_WORK = { transformer: 28, other: 10 } as const;

/**
 * Bytes that float32 evaluations take besides weights for each batch row: every skip connection, and the work of
 * every block, as each session's arena keeps the most that it ever took (2.7 GiB for Stable Diffusion 1.5's shape at
 * 512×512 pixels with guidance, measured by bench/memory).
 */
export function activationBytes(unet: UNet, latents: Extent): number {
  const blocks = unet.stages.filter(isBlock);
  const bytes = (block: Block): number => {
    const { height, width } = block.extent(latents);
    return 4 * block.channels * height * width;
  };
  const kept = blocks.filter(({ id }) => id === "conv_in" || id.startsWith("down_blocks.")).reduce((sum, block) => sum + bytes(block), 0);
  const atWork = blocks.reduce((sum, block) => sum + bytes(block) * TENSORS_AT_WORK[block.kind === "transformer" ? "transformer" : "other"], 0);
  return kept + atWork;
}
