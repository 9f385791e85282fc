/** Samples a batch of a study's trajectories, timed; pictures are decoded outside of the time. */
import { createHash } from "node:crypto";
import { measureCosts } from "../caching/costs/costs.js";
import type { RgbImage } from "../diffusion/image.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import type { SamplingHook } from "../diffusion/samplingHook.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { finalLatents } from "./finalLatents.js";
import { armSampling } from "./setting.js";
import type { StudySetting } from "./setting.js";
import type { Arm } from "./result.js";

export interface SampledBatch {
  /** final [trajectories, channels, height, width] */
  readonly latents: FloatTensor;
  /** from prompts to final latents */
  readonly seconds: number;
}

/** One sampling of a batch, each trajectory from its own seed's noise. */
export async function sampleBatch(
  pipeline: Pipeline,
  setting: StudySetting,
  trajectories: readonly Trajectory[],
  arm: Pick<Arm, "solver" | "steps">,
  { hooks = [], signal }: { hooks?: readonly SamplingHook[]; signal?: AbortSignal } = {},
): Promise<SampledBatch> {
  const started = performance.now();
  const latents = await finalLatents(pipeline, trajectories, { ...armSampling(pipeline, setting, arm), hooks, signal });
  return { latents, seconds: (performance.now() - started) / 1000 };
}

const warm = new WeakMap<Pipeline, Set<string>>();

/** Compiles and runs once everything that timed samplings of this size run: sessions, the text encoder. */
export async function warmUp(
  pipeline: Pipeline,
  { guidance_scale, latent_size }: Pick<StudySetting, "guidance_scale" | "latent_size">,
  images: number,
  signal?: AbortSignal,
): Promise<void> {
  const rows = guidance_scale > 1 ? 2 * images : images;
  const done = warm.get(pipeline) ?? new Set();
  warm.set(pipeline, done);
  const key = `${rows} ${latent_size.join("×")}`;
  if (done.has(key)) return;
  await measureCosts(pipeline, { rows, latentSize: latent_size, samples: 1, signal });
  done.add(key);
}

const decoded = new WeakMap<Pipeline, Map<string, Promise<RgbImage[]>>>();
/** An arm's batch, its plain run's, the reference's, and one to spare for the batch before. */
const KEPT_BATCHES = 4;

/** Latents as images. The last few batches are kept: every arm is compared with the same reference and plain run. */
export function decodeBatch(pipeline: Pipeline, latents: FloatTensor): Promise<RgbImage[]> {
  const kept = decoded.get(pipeline) ?? new Map<string, Promise<RgbImage[]>>();
  decoded.set(pipeline, kept);
  const key = createHash("sha256").update(latents.data).digest("hex");
  const images = kept.get(key) ?? decodeImages(pipeline, latents);
  // Last in the map is last used.
  kept.delete(key);
  kept.set(key, images);
  // What failed is tried again next time.
  images.catch(() => kept.delete(key));
  for (const oldest of [...kept.keys()].slice(0, -KEPT_BATCHES)) kept.delete(oldest);
  return images;
}
