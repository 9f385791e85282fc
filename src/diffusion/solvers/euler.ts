/**
 * Euler's method on the probability flow (Karras et al. 2022, arXiv 2206.00364, algorithm 1 with one slope per step).
 *
 * Notation (paper → here)
 *   x, σ_i       latents, sigmas
 *   D(x; σ)      predictedOriginal
 *   d_i          slope, (x − D) / σ
 *
 * Source: diffusers/schedulers/scheduling_euler_discrete.py (0.42), without its churn, which no pipeline asks for.
 */
import { z } from "zod";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { NoiseLevels } from "./noiseLevels.js";
import { requireOneSpacing, respacingKeys } from "./respacedSigmas.js";
import { fromConfig, noiseScheduleKeys, rescaleBetasZeroSnr, stepsOffset, timestepSpacing } from "./schedulerConfig.js";
import type { Solver, SolverStep } from "./solver.js";
import { advance, varianceExplodingSolver } from "./varianceExploding.js";
import type { EvaluateAt } from "./varianceExploding.js";

const eulerConfig = z.object({
  ...noiseScheduleKeys,
  ...respacingKeys,
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  interpolation_type: z.enum(["linear", "log_linear"]).default("linear"),
  timestep_spacing: timestepSpacing.default("linspace"),
  timestep_type: z.enum(["discrete", "continuous"]).default("discrete"),
  steps_offset: stepsOffset,
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
});

/**
 * Euler's method with the meaning of `EulerDiscreteScheduler.from_config(schedulerConfig)`.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createEuler(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(eulerConfig, schedulerConfig);
  requireOneSpacing(config);
  return varianceExplodingSolver({ name: "euler", config, numInferenceSteps, sample: sampleEuler });
}

async function* sampleEuler(
  evaluate: EvaluateAt,
  { timesteps, sigmas }: NoiseLevels,
  start: FloatTensor,
): AsyncGenerator<SolverStep, void, undefined> {
  let latents = start;
  for (const [index, timestep] of timesteps.entries()) {
    const { predictedOriginal, slope } = await evaluate(latents, index);
    latents = advance(latents, slope, Math.fround(sigmas[index + 1] - sigmas[index]));
    yield { index, timestep, latents, predictedOriginal };
  }
}
