import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import type { SolverName } from "../../diffusion/solvers/index.js";
import type { ProfileSetting } from "../../instrument/profile/profile.js";
import type { Schedule } from "./schedule.js";

/** What fixes the network evaluations of a sampling. */
type Sampled = Pick<SampleOptions, "solver" | "schedulerConfig" | "steps" | "guidanceScale">;

/** How a schedule is to be sampled: the solver with its configuration, steps and guidance. */
export function scheduleSampling({
  solver,
  solver_config,
  num_inference_steps,
  guidance_scale,
}: Pick<Schedule, "solver" | "solver_config" | "num_inference_steps" | "guidance_scale">): Sampled {
  // planEvaluations refuses an unknown solver's name.
  return {
    solver: solver as SolverName,
    schedulerConfig: solver_config,
    steps: num_inference_steps,
    guidanceScale: guidance_scale,
  };
}

/**
 * How a profile was sampled: as a schedule is to be, with its negative prompt and size.
 *
 * @param vaeScaleFactor pixels per latent, each way
 */
export function profileSampling(
  setting: ProfileSetting,
  vaeScaleFactor: number,
): Sampled & Pick<SampleOptions, "height" | "width"> & { negativePrompt?: string } {
  const [height, width] = setting.latent_size.map((extent) => extent * vaeScaleFactor);
  return { ...scheduleSampling(setting), negativePrompt: setting.negative_prompt ?? undefined, height, width };
}
