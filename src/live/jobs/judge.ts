/** One run against a near-converged solution of the same noise. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { relativeDistances } from "../../quality/distance.js";
import { memory } from "../remember.js";
import { sampleOptions } from "../settings.js";
import type { JobOptions, JudgedArm, Judgement } from "../worker.js";
import { cachedHook } from "./cachedHook.js";
import { stopwatch } from "./stopwatch.js";

/** Samples an arm; the converged solution of its prompt and seed is sampled once and kept. */
export async function judge(
  pipeline: Pipeline,
  { settings, cached, convergedSteps }: JudgedArm,
  { signal }: JobOptions<"judge">,
): Promise<Judgement> {
  const options = sampleOptions(settings);
  const converging = { ...options, steps: convergedSteps };
  const kept = memory<FloatTensor>(pipeline, ["converged", converging]);
  const converged = kept.get() ?? kept.set((await run(pipeline, { ...converging, signal })).latents);
  const hooks = cached === undefined ? [] : [await cachedHook(pipeline, cached)];
  const { latents, seconds, evaluations } = await run(pipeline, { ...options, hooks, signal });
  return { error: relativeDistances(latents, converged)[0], seconds, evaluations };
}

async function run(
  pipeline: Pipeline,
  options: SampleOptions,
): Promise<{ latents: FloatTensor; seconds: number; evaluations: number }> {
  const clock = stopwatch(sample(pipeline, options));
  while ((await clock.next()) !== undefined);
  const { latents, total } = clock.last();
  return { latents, seconds: clock.seconds(), evaluations: total };
}
