import { sample } from "../diffusion/sample.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import type { FloatTensor } from "../numerics/tensor.js";

/** The final latents [trajectories, channels, height, width] of trajectories sampled together. */
export async function finalLatents(
  pipeline: Pipeline,
  trajectories: readonly Trajectory[],
  options: Omit<SampleOptions, "prompt" | "seed">,
): Promise<FloatTensor> {
  let latents: FloatTensor | undefined;
  const run = sample(pipeline, {
    ...options,
    prompt: trajectories.map(({ prompt }) => prompt),
    seed: trajectories.map(({ seed }) => seed),
  });
  for await (const step of run) latents = step.latents;
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  return latents;
}
