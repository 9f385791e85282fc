/** Watching a sampling run: the image forms in place, beside the change of each block so far. */
import type { Schedule } from "../caching/schedule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import { sample } from "../diffusion/sample.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { RgbImage } from "../diffusion/image.js";
import type { FloatTensor } from "../models/tensor.js";
import { InterruptedError } from "../errors.js";
import { changeMeter } from "../instrument/change.js";
import { latentPreview } from "../diffusion/latentPreview.js";
import { changeGrid } from "./changeGrid.js";
import { cellInterrupt } from "./interrupt.js";
import { compareLive } from "./liveCached.js";
import type { LiveCachedOptions, LiveComparison } from "./liveCached.js";
import { livePicture } from "./livePicture.js";
import { display } from "./show.js";

/** What a live run ends with. */
export interface LiveResult {
  readonly latents: FloatTensor;
  readonly images: readonly RgbImage[];
  /** of the whole run, display included */
  readonly seconds: number;
  /** spent on measuring and display beside the sampling itself */
  readonly displaySeconds: number;
}

/**
 * Samples in a cell, step by step: the predicted image beside the change of each block so far.
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
export async function live(pipeline: Pipeline, options: LiveCachedOptions & ({ readonly schedule: Schedule } | { readonly delta: number })): Promise<LiveComparison>;
export async function live(pipeline: Pipeline, options: SampleOptions): Promise<LiveResult>;
export async function live(pipeline: Pipeline, options: SampleOptions & LiveCachedOptions): Promise<LiveResult | LiveComparison> {
  const interrupt = cellInterrupt();
  const signal = options.signal === undefined ? interrupt.signal : AbortSignal.any([options.signal, interrupt.signal]);
  try {
    return await (options.schedule === undefined && options.delta === undefined ? watch(pipeline, options, signal) : compareLive(pipeline, options, signal));
  } finally {
    interrupt.release();
  }
}

async function watch(pipeline: Pipeline, options: SampleOptions, signal: AbortSignal): Promise<LiveResult> {
  const { solver } = planSampling(pipeline, options);
  const steps = solver.timesteps.length;
  const grid = changeGrid(pipeline.network.blocks.map(({ id }) => id), steps);
  const meter = changeMeter(pipeline, (id, step, images) => grid.set(id, step, images[0].change));
  const preview = await latentPreview(pipeline);
  const shown = await display({ html: "<div>sampling…</div>" });
  const started = performance.now();
  let displaySeconds = 0;
  let latents: FloatTensor | undefined;
  try {
    for await (const step of sample(pipeline, { ...options, signal, hooks: [...(options.hooks ?? []), meter] })) {
      const begun = performance.now();
      latents = step.latents;
      const caption = `step ${step.index + 1} of ${steps}, timestep ${step.timestep}`;
      await shown.update({ html: panel(await livePicture(preview(step.predictedOriginal)[0], caption), await grid.html()) });
      displaySeconds += (performance.now() - begun) / 1000;
    }
  } catch (error) {
    if (error instanceof InterruptedError) await shown.update({ html: panel("<div>interrupted</div>", await grid.html()) });
    throw error;
  } finally {
    meter.dispose();
  }
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  const images = await decodeImages(pipeline, latents);
  const seconds = (performance.now() - started) / 1000;
  await shown.update({ html: panel(await livePicture(images[0], `${steps} steps in ${seconds.toFixed(1)} s`), await grid.html()) });
  return { latents, images, seconds, displaySeconds };
}

function panel(picture: string, grid: string): string {
  return `<div style="display:flex;gap:16px;align-items:flex-start">${picture}<div>${grid}</div></div>`;
}
