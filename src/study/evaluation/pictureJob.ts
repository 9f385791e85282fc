/** The work of an evaluation: one setting on one batch, plain data in and out, the same here and on a worker. */
import { z } from "zod";
import { decodeImages } from "../../diffusion/decodeImages.js";
import { encodePng } from "../../diffusion/image.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { openCachedRun } from "../armAdjustment.js";
import { finalLatents } from "../finalLatents.js";
import type { Arm } from "../result.js";
import { warmUp } from "../sampleBatch.js";
import { armSampling } from "../setting.js";
import { latentsSchema, machine } from "../studyJobs.js";
import type { EvaluationSampling } from "./evaluation.js";

export interface PictureJob {
  readonly kind: "pictures";
  readonly sampling: EvaluationSampling;
  readonly trajectories: readonly Trajectory[];
  readonly arm: Arm;
}

/** What is kept of a job beside its pictures. */
export interface SampledPictures {
  /** final [trajectories, channels, height, width] */
  readonly latents: FloatTensor;
  /** from prompts to final latents */
  readonly seconds: number;
  readonly machine: string;
}

export const sampledPicturesSchema: z.ZodType<SampledPictures> = z.object({
  latents: latentsSchema,
  seconds: z.number().positive(),
  machine: z.string(),
});

/** What a job gives: besides, a PNG of each trajectory in base64. */
export const jobResultSchema = z.intersection(sampledPicturesSchema, z.object({ pictures: z.array(z.string()) }));

/** Samples one setting on one batch, timed, and decodes it. Throws what sampling and decoding throw. */
export async function runPictures(
  pipeline: Pipeline,
  { sampling, trajectories, arm }: PictureJob,
  signal?: AbortSignal,
): Promise<z.infer<typeof jobResultSchema>> {
  await warmUp(pipeline, sampling, trajectories.length, signal);
  const hooks = arm.cached === undefined ? [] : [await openCachedRun(arm.cached)];
  const options = { ...armSampling(pipeline, sampling, arm), hooks, signal };
  const started = performance.now();
  const latents = await finalLatents(pipeline, trajectories, options);
  const seconds = (performance.now() - started) / 1000;
  const images = await decodeImages(pipeline, latents, signal);
  const texts = trajectories.map(({ prompt, seed }) => ({ prompt, seed: String(seed), setting: arm.name }));
  const pictures = await Promise.all(images.map(async (image, index) => encodePng(image, texts[index])));
  return {
    latents,
    seconds,
    machine: machine(pipeline),
    pictures: pictures.map((png) => png.toString("base64")),
  };
}
