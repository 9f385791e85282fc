/** Watching a sampling run: the image forms in place, beside the change of each block so far. */
import type { Pipeline } from "../diffusion/pipeline.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import { sample } from "../diffusion/sample.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import { encodePng } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import type { FloatTensor } from "../models/tensor.js";
import { InterruptedError } from "../errors.js";
import { changeMeter } from "../instrument/change.js";
import { latentPreview } from "../diffusion/latentPreview.js";
import { changeGrid } from "./changeGrid.js";
import { cellInterrupt } from "./interrupt.js";
import { display, escapeHtml } from "./show.js";

/** What a live run ends with. */
export interface LiveResult {
  readonly latents: FloatTensor;
  readonly images: readonly RgbImage[];
  /** of the whole run, display included */
  readonly seconds: number;
  /** spent on measuring and display beside the sampling itself */
  readonly displaySeconds: number;
}

/** Pixels a side of the picture while it forms. */
const PICTURE_PIXELS = 256;

/**
 * Samples in a cell, step by step: the predicted image beside the change of each block so far.
 * Interrupting the cell stops the sampling at the next block. While it forms, the image is a linear
 * approximation of the autoencoder's (latentPreview.ts), so that looking costs next to nothing; the
 * last picture is decoded in full.
 */
export async function live(pipeline: Pipeline, options: SampleOptions): Promise<LiveResult> {
  const { solver } = planSampling(pipeline, options);
  const steps = solver.timesteps.length;
  const grid = changeGrid(pipeline.network.blocks.map(({ id }) => id), steps);
  const meter = changeMeter(pipeline, (id, step, images) => grid.set(id, step, images[0].change));
  const preview = await latentPreview(pipeline);
  const interrupt = cellInterrupt();
  const shown = await display({ html: "<div>sampling…</div>" });
  const started = performance.now();
  let displaySeconds = 0;
  let latents: FloatTensor | undefined;
  try {
    const signal = options.signal === undefined ? interrupt.signal : AbortSignal.any([options.signal, interrupt.signal]);
    for await (const step of sample(pipeline, { ...options, signal, hooks: [...(options.hooks ?? []), meter] })) {
      const begun = performance.now();
      latents = step.latents;
      const caption = `step ${step.index + 1} of ${steps}, timestep ${step.timestep}`;
      await shown.update({ html: panel(await picture(preview(step.predictedOriginal)[0]), await grid.html(), caption) });
      displaySeconds += (performance.now() - begun) / 1000;
    }
  } catch (error) {
    if (error instanceof InterruptedError) await shown.update({ html: panel("", await grid.html(), "interrupted") });
    throw error;
  } finally {
    interrupt.release();
    meter.dispose();
  }
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  const images = await decodeImages(pipeline, latents);
  const seconds = (performance.now() - started) / 1000;
  await shown.update({ html: panel(await picture(images[0]), await grid.html(), `${steps} steps in ${seconds.toFixed(1)} s`) });
  return { latents, images, seconds, displaySeconds };
}

async function picture(image: RgbImage): Promise<string> {
  const uri = `data:image/png;base64,${(await encodePng(image)).toString("base64")}`;
  return `<img alt="the image as predicted at this step" src="${uri}" style="width:${PICTURE_PIXELS}px;height:auto;image-rendering:pixelated">`;
}

function panel(image: string, grid: string, caption: string): string {
  return `<div style="display:flex;gap:16px;align-items:flex-start"><div>${image}<div>${escapeHtml(caption)}</div></div><div>${grid}</div></div>`;
}
