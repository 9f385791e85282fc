/** Refuses samplings that would not fit in memory, before anything is computed. */
import { ArgumentError } from "../errors.js";
import { activationBytes } from "../graphs/activationBytes.js";
import { DEVICES } from "../engine/devices.js";
import { availableMemory } from "../engine/availableMemory.js";
import type { Pipeline } from "./pipeline.js";
import type { SamplingPlan } from "./samplingPlan.js";

/** The rest is left to JavaScript, to other processes and to what the estimate does not see. */
const USABLE_SHARE = 0.9;

/** The sides of the square image that is proposed instead are multiples of this many latents. */
const LATENT_STEP = 8;

type Size = readonly [height: number, width: number];

/**
 * Checks a sampling run on `cpu` against the memory that is free now; a GPU's free memory is not known here.
 *
 * @param available bytes that may be taken
 * @throws ArgumentError that names the largest batch that fits, or the largest square image where not even one does
 */
export function requireMemory(
  pipeline: Pipeline,
  plan: SamplingPlan,
  available = USABLE_SHARE * availableMemory(),
): void {
  if (!DEVICES[pipeline.device.name].usesHostMemory) return;
  const { latentSize } = plan;
  const { unet, keptBytes } = pipeline.network;
  const images = plan.prompts.length;
  // All images are evaluated together, and then decoded one by one in the same memory. What the sessions keep from
  // earlier runs is taken already.
  const needed = (count: number, latents: Size): number => {
    const rows = plan.rowsPerImage * count;
    const evaluated = rows * activationBytes(unet, { height: latents[0], width: latents[1] });
    return pipeline.waitingWeightBytes + Math.max(0, Math.max(evaluated, pipeline.decodeBytes(latents)) - keptBytes);
  };
  if (needed(images, latentSize) <= available) return;

  const pixels = ([height, width]: Size): string =>
    `${height * pipeline.vaeScaleFactor}×${width * pipeline.vaeScaleFactor} pixels`;
  const what = `sampling ${images} ${images === 1 ? "image" : "images"} of ${pixels(latentSize)} takes about ${gibibytes(needed(images, latentSize))}, and ${gibibytes(available)} can be taken`;
  const batch = largest(images, (count) => needed(count, latentSize) <= available);
  if (batch > 0)
    throw new ArgumentError(
      `memory: ${what} — at most ${batch} of this size fit at once: sample them in several calls`,
    );
  const side =
    LATENT_STEP *
    largest(
      Math.ceil(Math.max(...latentSize) / LATENT_STEP),
      (steps) => needed(1, [steps * LATENT_STEP, steps * LATENT_STEP]) <= available,
    );
  throw new ArgumentError(
    `memory: ${what} — ${side === 0 ? "no image fits: free memory" : `one image of ${pixels([side, side])} fits`}`,
  );
}

/** The largest number below `limit` that fits, or 0; what is larger than one that does not fit does not fit either. */
function largest(limit: number, fits: (count: number) => boolean): number {
  let [low, high] = [0, limit];
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
