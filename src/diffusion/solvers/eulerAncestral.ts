/**
 * Euler's method with ancestral sampling: each step goes further down than the next noise level and
 * adds noise back up to it (k-diffusion's `sample_euler_ancestral`).
 *
 * Notation (source → here)
 *   sigma_down   the level that the step goes down to
 *   sigma_up     the scale of the noise that is added: σ_down² + σ_up² = σ_{i+1}²
 *
 * Source: diffusers/schedulers/scheduling_euler_ancestral_discrete.py (0.42).
 */
import { z } from "zod";
import type { FloatTensor } from "../../numerics/tensor.js";
import { randnTensor, requireGenerators } from "../../numerics/noise.js";
import type { NoiseLevels } from "./noiseLevels.js";
import { fromConfig, noiseScheduleKeys, rescaleBetasZeroSnr, stepsOffset, timestepSpacing } from "./schedulerConfig.js";
import type { Solver, SolverOptions, SolverStep } from "./solver.js";
import { advance, varianceExplodingSolver } from "./varianceExploding.js";
import type { EvaluateAt } from "./varianceExploding.js";

const eulerAncestralConfig = z.object({
  ...noiseScheduleKeys,
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  timestep_spacing: timestepSpacing.default("linspace"),
  steps_offset: stepsOffset,
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

/**
 * The ancestral Euler method with the meaning of `EulerAncestralDiscreteScheduler.from_config(schedulerConfig)`.
 * It draws noise of the latents' shape once per step, after the network ran, also at the last step.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createEulerAncestral(
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  const config = fromConfig(eulerAncestralConfig, schedulerConfig);
  return varianceExplodingSolver({ name: "euler-ancestral", config, numInferenceSteps, sample: sampleEulerAncestral });
}

async function* sampleEulerAncestral(
  evaluate: EvaluateAt,
  { timesteps, sigmas }: NoiseLevels,
  start: FloatTensor,
  { generator }: SolverOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround, sqrt } = Math;
  const generators = requireGenerators(generator, "euler-ancestral");
  let latents = start;
  for (const [index, timestep] of timesteps.entries()) {
    const { predictedOriginal, slope } = await evaluate(latents, index);

    const sigma = sigmas[index];
    const squared = fround(sigma * sigma);
    const nextSquared = fround(sigmas[index + 1] * sigmas[index + 1]);
    const up = fround(sqrt(fround(fround(nextSquared * fround(squared - nextSquared)) / squared)));
    // Between levels far apart, rounding can take this below 0; diffusers would continue with NaN.
    const down = fround(sqrt(Math.max(0, fround(nextSquared - fround(up * up)))));

    const lowered = advance(latents, slope, fround(down - sigma));
    latents = advance(lowered, randnTensor(latents.dims, generators).data, up);
    yield { index, timestep, latents, predictedOriginal };
  }
}
