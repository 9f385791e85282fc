/** How a run is sampled, as a person sets it: plain data. */
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { SolverName } from "../diffusion/solvers/index.js";

export interface SamplingSettings {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number;
  readonly solver: SolverName;
  /** changes to the model's scheduler_config.json */
  readonly schedulerConfig: Readonly<Record<string, unknown>>;
  /** num_inference_steps */
  readonly steps: number;
  readonly guidanceScale: number;
  /** pixels */
  readonly height: number;
  readonly width: number;
}

/** The settings as `sample` takes them. */
export function sampleOptions({ negativePrompt, ...settings }: SamplingSettings): SampleOptions {
  return { ...settings, ...(negativePrompt === "" ? {} : { negativePrompt }) };
}

/** The settings that a schedule was made for. */
export function settingsOfSchedule({
  solver,
  solver_config,
  num_inference_steps,
  guidance_scale,
}: Schedule): Pick<SamplingSettings, "solver" | "schedulerConfig" | "steps" | "guidanceScale"> {
  return {
    solver: solver as SolverName,
    schedulerConfig: solver_config ?? {},
    steps: num_inference_steps,
    guidanceScale: guidance_scale,
  };
}

/** What change and costs depend on: equal texts are equal measurements. */
export function measurementKey(settings: SamplingSettings): string {
  const { solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt } = settings;
  return JSON.stringify({ solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt });
}
