import type { Schedule } from "../caching/schedule.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { ProfileSetting } from "../instrument/profile.js";

/** How a profile was sampled, or a schedule is to be: the solver with its configuration, steps and guidance. */
export function samplingOfSetting(setting: Pick<ProfileSetting | Schedule, "solver" | "solver_config" | "num_inference_steps" | "guidance_scale">): Pick<SampleOptions, "solver" | "schedulerConfig" | "steps" | "guidanceScale"> {
  // planSampling refuses a name that is none.
  return { solver: setting.solver as SolverName, schedulerConfig: setting.solver_config, steps: setting.num_inference_steps, guidanceScale: setting.guidance_scale };
}
