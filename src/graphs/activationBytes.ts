import { isBlock } from "./block.js";
import type { Block, Extent } from "./block.js";
import type { UNet } from "./unet.js";

/**
 * Feature maps, of the size of a block's output, that onnxruntime holds at once while it runs the block: a
 * transformer's feed-forward layer widens its tokens by eight and keeps halves and products beside them; the
 * others hold inputs, normalised and activated copies. Counted from the graphs, on the high side.
 */
const TENSORS_AT_WORK = { transformer: 28, other: 10 } as const;

/** Bytes, about, that a session holds at once while it runs a block in float32, for each batch row. */
function workBytes(block: Block, latents: Extent): number {
  return resultBytes(block, latents) * TENSORS_AT_WORK[block.kind === "transformer" ? "transformer" : "other"];
}

function resultBytes(block: Block, latents: Extent): number {
  const { height, width } = block.extent(latents);
  return 4 * block.channels * height * width;
}

/** A block that works with more, for each batch row, gives its memory back after each run. */
const LARGE_WORK_BYTES = 16 * 2 ** 20;

/**
 * Whether a block's session keeps its memory from run to run. Where the work is small this is a good part of its
 * time (1.2 times faster on the embedded model's blocks at 16 rows); where it is large every session would hold
 * the most that it ever took (2.7 GiB for Stable Diffusion 1.5's shape at 512×512 pixels).
 */
export function keepsMemory({ config: { sample_size } }: UNet, block: Block): boolean {
  const [height, width] = [sample_size ?? 0, sample_size ?? 0].flat();
  return workBytes(block, { height, width }) <= LARGE_WORK_BYTES;
}

/** Bytes that a float32 evaluation takes besides weights, for each batch row. */
export interface ActivationBytes {
  /** what sessions keep for the next evaluation */
  readonly kept: number;
  /** every skip connection, and the work of the largest block that keeps none: given back when the evaluation is over */
  readonly passing: number;
}

/** Estimates what an evaluation takes; both parts are on the high side. */
export function activationBytes(unet: UNet, latents: Extent): ActivationBytes {
  const blocks = unet.stages.filter(isBlock);
  const skips = blocks
    .filter(({ id }) => id === "conv_in" || id.startsWith("down_blocks."))
    .reduce((sum, block) => sum + resultBytes(block, latents), 0);
  const kept = blocks
    .filter((block) => keepsMemory(unet, block))
    .reduce((sum, block) => sum + workBytes(block, latents), 0);
  const largest = Math.max(
    0,
    ...blocks.filter((block) => !keepsMemory(unet, block)).map((block) => workBytes(block, latents)),
  );
  return { kept, passing: skips + largest };
}
