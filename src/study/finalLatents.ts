import { finalLatentsOf, sample } from "../diffusion/sample.js";
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
  return finalLatentsOf(
    sample(pipeline, {
      ...options,
      prompt: trajectories.map(({ prompt }) => prompt),
      seed: trajectories.map(({ seed }) => seed),
    }),
  );
}
