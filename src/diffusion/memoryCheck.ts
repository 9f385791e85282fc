/** Refuses, before anything is computed, what would not fit in memory. */
import { ArgumentError } from "../errors.js";
import { activationBytes } from "../graphs/activationBytes.js";
import { availableMemory } from "../runtime/availableMemory.js";
import type { Pipeline } from "./pipeline.js";
import type { SamplingPlan } from "./samplingPlan.js";

/** The rest is left to JavaScript, to other processes and to what the estimate does not see. */
const USABLE_SHARE = 0.9;

/** The square image that is proposed instead has a multiple of so many latents, each way. */
const LATENT_STEP = 8;

type Size = readonly [height: number, width: number];

/**
 * Checks a sampling run on `cpu` against the memory that is free now; a GPU's memory cannot be asked for.
 *
 * @param available bytes that may be taken
 * @throws ArgumentError that names the largest batch that fits, or the largest square image where not even one does
 */
export function requireMemory(pipeline: Pipeline, plan: SamplingPlan, available = USABLE_SHARE * availableMemory()): void {
  if (pipeline.device.name !== "cpu") return;
  const { latentSize } = plan;
  const images = plan.prompts.length;
  const evaluation = (latents: Size): number => (plan.guided ? 2 : 1) * activationBytes(pipeline.network.unet, { height: latents[0], width: latents[1] });
  // All images are evaluated together, and decoded one by one.
  const needed = (count: number, latents: Size): number => pipeline.waitingWeightBytes + Math.max(count * evaluation(latents), pipeline.decodeBytes(latents));
  if (needed(images, latentSize) <= available) return;

  const pixels = ([height, width]: Size): string => `${height * pipeline.vaeScaleFactor}×${width * pipeline.vaeScaleFactor} pixels`;
  const what = `sampling ${images} ${images === 1 ? "image" : "images"} of ${pixels(latentSize)} takes about ${gibibytes(needed(images, latentSize))}, and ${gibibytes(available)} can be taken`;
  if (needed(1, latentSize) <= available) {
    const batch = Math.floor((available - pipeline.waitingWeightBytes) / evaluation(latentSize));
    throw new ArgumentError(`memory: ${what} — at most ${batch} of this size fit at once: sample them in several calls`);
  }
  const side = largestSide(Math.max(...latentSize), (latents) => needed(1, latents) <= available);
  throw new ArgumentError(`memory: ${what} — ${side === undefined ? "no image fits: free memory" : `one image of ${pixels([side, side])} fits`}`);
}

/** The side of the largest square of latents that fits, in steps. */
function largestSide(start: number, fits: (latents: Size) => boolean): number | undefined {
  let [low, high] = [0, Math.ceil(start / LATENT_STEP)];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits([middle * LATENT_STEP, middle * LATENT_STEP])) low = middle;
    else high = middle;
  }
  return low === 0 ? undefined : low * LATENT_STEP;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
