/** How a run is sampled, as a person sets it: plain data. */
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

/** What change and costs depend on: equal texts are equal measurements. */
export function measurementKey(settings: SamplingSettings): string {
  const { solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt } = settings;
  return JSON.stringify({ solver, schedulerConfig, steps, guidanceScale, height, width, negativePrompt });
}
