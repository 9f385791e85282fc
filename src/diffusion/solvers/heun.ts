/**
 * Heun's second-order method on the probability flow (Karras et al. 2022, arXiv 2206.00364, algorithm 1).
 *
 * Each step but the last runs the network twice: at its start, and at the point that Euler's method reaches from there.
 * The step then follows the average of both slopes. The last step, to σ = 0, is Euler's.
 *
 * Notation (paper → here)
 *   x, t_i       latents, sigmas
 *   d_i, d_i'    slope, corrected slope
 *
 * Source: diffusers/schedulers/scheduling_heun_discrete.py (0.42).
 */
import { z } from "zod";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { NoiseLevels } from "./noiseLevels.js";
import { requireOneSpacing, respacingKeys } from "./respacedSigmas.js";
import { fromConfig, noiseScheduleKeys, stepsOffset, timestepSpacing } from "./schedulerConfig.js";
import type { Solver, SolverStep } from "./solver.js";
import { advance, varianceExplodingSolver } from "./varianceExploding.js";
import type { EvaluateAt } from "./varianceExploding.js";

const heunConfig = z.object({
  ...noiseScheduleKeys,
  beta_start: z.number().default(0.00085),
  beta_end: z.number().default(0.012),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2", "exp"]).default("linear"),
  ...respacingKeys,
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  clip_sample: z.boolean().default(false),
  clip_sample_range: z.number().default(1.0),
  timestep_spacing: timestepSpacing.default("linspace"),
  steps_offset: stepsOffset,
});

/**
 * Heun's method with the meaning of `HeunDiscreteScheduler.from_config(schedulerConfig)`: 2 n − 1 network
 * evaluations for n steps.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createHeun(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(heunConfig, schedulerConfig);
  requireOneSpacing(config);
  const evaluations = (timestep: number, step: number): readonly number[] =>
    step === 0 ? [timestep] : [timestep, timestep];
  return varianceExplodingSolver({ name: "heun", config, numInferenceSteps, evaluations, sample: sampleHeun });
}

async function* sampleHeun(
  evaluate: EvaluateAt,
  { timesteps, sigmas }: NoiseLevels,
  start: FloatTensor,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround } = Math;
  let latents = start;
  let index = 0;
  for (const [step, timestep] of timesteps.entries()) {
    const difference = fround(sigmas[step + 1] - sigmas[step]);
    const first = await evaluate(latents, step);
    const reached = advance(latents, first.slope, difference);
    yield { index: index++, timestep, latents: reached, predictedOriginal: first.predictedOriginal };
    if (step === timesteps.length - 1) return;

    const second = await evaluate(reached, step + 1);
    const average = first.slope.map((slope, i) => fround(slope + second.slope[i]) / 2);
    latents = advance(latents, average, difference);
    yield { index: index++, timestep: timesteps[step + 1], latents, predictedOriginal: second.predictedOriginal };
  }
}
