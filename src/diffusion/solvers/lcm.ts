/**
 * Multistep sampling of a latent consistency model (Luo et al. 2023, arXiv 2310.04378, algorithm 3).
 *
 * Notation (paper → here)
 *   z            latents
 *   f_θ          consistent, c_skip z + c_out x_0
 *   ᾱ_t          alphas, diffusers' alphas_cumprod
 *
 * Source: diffusers/schedulers/scheduling_lcm.py (0.42).
 */
import { z } from "zod";
import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { randnTensor, requireGenerators } from "../../numerics/noise.js";
import { alphasCumprod } from "../noiseSchedule.js";
import { keepInRange, predictOriginal, signalAndNoise } from "./predictedOriginal.js";
import {
  fromConfig,
  noiseScheduleKeys,
  requireFewerSteps,
  requireSignal,
  rescaleBetasZeroSnr,
  stepsOffset,
  thresholdingKeys,
  timestepSpacing,
} from "./schedulerConfig.js";
import type { Denoise, Solver, SolverOptions, SolverStep } from "./solver.js";

const lcmConfig = z.object({
  ...noiseScheduleKeys,
  beta_start: z.number().default(0.00085),
  beta_end: z.number().default(0.012),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("scaled_linear"),
  original_inference_steps: z.int().min(1).default(50),
  clip_sample: z.boolean().default(false),
  clip_sample_range: z.number().default(1.0),
  set_alpha_to_one: z.boolean().default(true),
  steps_offset: stepsOffset,
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  ...thresholdingKeys,
  timestep_spacing: timestepSpacing.default("leading"),
  timestep_scaling: z.number().default(10.0),
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

type LcmConfig = z.output<typeof lcmConfig>;

/** Standard deviation of the data that the boundary condition assumes. */
const SIGMA_DATA = 0.5;

/**
 * The latent consistency solver with the meaning of `LCMScheduler.from_config(schedulerConfig)`. It draws
 * noise of the latents' shape after each network evaluation but the last.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws ArgumentError if there are more steps than original_inference_steps, which the model was distilled from
 */
export function createLcm(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(lcmConfig, schedulerConfig);
  const { original_inference_steps: originalSteps, num_train_timesteps: trainingSteps } = config;
  requireFewerSteps(numInferenceSteps, trainingSteps);
  if (originalSteps > trainingSteps)
    throw new ArgumentError(
      `original_inference_steps: must be at most num_train_timesteps (${trainingSteps}), got ${originalSteps}`,
    );
  if (numInferenceSteps > originalSteps)
    throw new ArgumentError(
      `steps: must be at most original_inference_steps (${originalSteps}), got ${numInferenceSteps}`,
    );
  const distance = Math.floor(trainingSteps / originalSteps);
  const timesteps = Array.from(
    { length: numInferenceSteps },
    (_, step) => (originalSteps - Math.floor(step * (originalSteps / numInferenceSteps))) * distance - 1,
  );
  const alphas = alphasCumprod(config);
  requireSignal(config.prediction_type, alphas[timesteps[0]], timesteps[0]);
  return {
    name: "lcm",
    config,
    numInferenceSteps,
    timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) => sampleLcm(config, alphas, timesteps, denoise, latents, options),
  };
}

async function* sampleLcm(
  config: LcmConfig,
  alphas: Float32Array,
  timesteps: readonly number[],
  denoise: Denoise,
  start: FloatTensor,
  { generator }: SolverOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround } = Math;
  let latents = start;
  for (const [index, timestep] of timesteps.entries()) {
    const output = await denoise(latents, timestep);
    const original = keepInRange(
      config,
      predictOriginal(config.prediction_type, signalAndNoise(alphas[timestep]), output.data, latents),
    );

    const { skip, out } = boundaryCondition(timestep, config.timestep_scaling);
    const x = latents.data;
    const consistent = {
      dims: latents.dims,
      data: original.data.map((value, i) => fround(out * value) + fround(skip * x[i])),
    };

    if (index === timesteps.length - 1) latents = consistent;
    else {
      const { alpha, sigma } = signalAndNoise(alphas[timesteps[index + 1]]);
      const noise = randnTensor(latents.dims, requireGenerators(generator, "lcm")).data;
      latents = {
        dims: latents.dims,
        data: consistent.data.map((value, i) => fround(alpha * value) + fround(sigma * noise[i])),
      };
    }
    yield { index, timestep, latents, predictedOriginal: consistent };
  }
}

/** c_skip and c_out, which make f_θ the identity at timestep 0 (eq. 9; Song et al. 2023). */
function boundaryCondition(timestep: number, timestepScaling: number): { skip: number; out: number } {
  const { fround, sqrt } = Math;
  const scaled = fround(timestep * fround(timestepScaling));
  const sum = fround(fround(scaled * scaled) + SIGMA_DATA ** 2);
  return { skip: fround(SIGMA_DATA ** 2 / sum), out: fround(scaled / fround(sqrt(sum))) };
}
