/** Watching a sampling run: the image forms in place, beside the change of each block so far. */
import type { Schedule } from "../caching/schedule/schedule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import { sample } from "../diffusion/sample.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import { toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { InterruptedError } from "../errors.js";
import { changeMeter } from "../instrument/change/change.js";
import { latentPreview } from "../diffusion/latentPreview.js";
import { bitmapUri } from "../live/bitmap.js";
import { changeGrid } from "./changeGrid.js";
import { compareLive } from "./liveCached.js";
import type { LiveCachedOptions, LiveComparison } from "./liveCached.js";
import { livePicture } from "./livePicture.js";
import { display } from "./show/show.js";

/** The eye needs no more; and the browser that draws them is often on the cores that compute. */
const MILLISECONDS_BETWEEN_PICTURES = 100;

/** What a live run ends with. */
export interface LiveResult {
  readonly latents: FloatTensor;
  readonly images: readonly RgbImage[];
  /** of the whole run, display included; what watching costs is measured by bench/live */
  readonly seconds: number;
}

/**
 * Samples in a cell, step by step: the predicted image beside the change of each block so far, at most ten pictures a second.
 * Interrupting the cell stops the sampling at the next block. While it forms, the image is a linear
 * approximation of the autoencoder's (latentPreview.ts), so that looking costs next to nothing; the
 * last picture is decoded in full.
 *
 * With a `schedule`, or a `delta` for the threshold rule, a cached run forms beside the plain one while the
 * schedule's cells light up; at the end stand the difference and the measured speed-up. Profile, costs and
 * plain run are kept, so that another δ waits for the cached run alone.
 *
 * @throws ArgumentError where the schedule does not fit the run; InterruptedError when the cell is interrupted
 */
export async function live(
  pipeline: Pipeline,
  options: LiveCachedOptions & ({ readonly schedule: Schedule } | { readonly delta: number }),
): Promise<LiveComparison>;
export async function live(pipeline: Pipeline, options: SampleOptions): Promise<LiveResult>;
export async function live(
  pipeline: Pipeline,
  options: SampleOptions & LiveCachedOptions,
): Promise<LiveResult | LiveComparison> {
  return options.schedule === undefined && options.delta === undefined
    ? watch(pipeline, options)
    : compareLive(pipeline, options);
}

async function watch(pipeline: Pipeline, options: SampleOptions): Promise<LiveResult> {
  const { solver } = planSampling(pipeline, options);
  const evaluations = solver.timesteps.length;
  const grid = changeGrid(
    pipeline.network.blocks.map(({ id }) => id),
    evaluations,
  );
  const meter = changeMeter(pipeline, (id, step, images) => grid.set(id, step, images[0].change));
  const preview = await latentPreview(pipeline);
  const shown = await display({ html: "<div>sampling…</div>" });
  const draw = (picture: string): Promise<void> => shown.update({ html: panel(picture, grid.html()) });
  const started = performance.now();
  let latents: FloatTensor | undefined;
  let drawn = -Infinity;
  try {
    for await (const step of sample(pipeline, { ...options, hooks: [...(options.hooks ?? []), meter] })) {
      latents = step.latents;
      const now = performance.now();
      if (now - drawn < MILLISECONDS_BETWEEN_PICTURES) continue;
      drawn = now;
      const caption = `network evaluation ${step.index + 1} of ${evaluations}, timestep ${step.timestep}`;
      await draw(livePicture(bitmapUri(preview(step.predictedOriginal)[0]), caption));
    }
  } catch (error) {
    if (error instanceof InterruptedError) await draw("<div>interrupted</div>");
    throw error;
  } finally {
    meter.dispose();
  }
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  const images = await decodeImages(pipeline, latents);
  const seconds = (performance.now() - started) / 1000;
  await draw(livePicture(await toDataUri(images[0]), `${evaluations} network evaluations in ${seconds.toFixed(1)} s`));
  return { latents, images, seconds };
}

function panel(picture: string, grid: string): string {
  return `<div style="display:flex;gap:16px;align-items:flex-start">${picture}<div>${grid}</div></div>`;
}
