/**
 * Denoising Diffusion Implicit Models (Song, Meng & Ermon 2020, arXiv 2010.02502).
 *
 * Notation (paper → here)
 *   x_t          latents
 *   ε_θ(x_t)     predictedNoise
 *   f_θ(x_t)     predictedOriginal, the predicted x_0
 *   α_t          alpha            (the paper's α is diffusers' alphas_cumprod)
 *   α_{t−1}      alphaPrevious
 *   1 − α_t      beta
 *   σ_t(η)       noiseScale
 *
 * Source: diffusers/schedulers/scheduling_ddim.py (0.42).
 */
import { z } from "zod";
import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { randnTensor, requireGenerators } from "../../numerics/noise.js";
import { alphasCumprod } from "../noiseSchedule.js";
import { roundHalfToEven, spacedTimesteps } from "../timestepSpacing.js";
import { keepInRange, predictNoise, predictOriginal, signalAndNoise } from "./predictedOriginal.js";
import {
  fromConfig,
  noiseScheduleKeys,
  requireFewerSteps,
  requireSignal,
  requireTrainedTimesteps,
  rescaleBetasZeroSnr,
  stepsOffset,
  thresholdingKeys,
  timestepSpacing,
} from "./schedulerConfig.js";
import type { Denoise, Solver, SolverOptions, SolverStep } from "./solver.js";

const ddimConfig = z.object({
  ...noiseScheduleKeys,
  ...thresholdingKeys,
  clip_sample: z.boolean().default(true),
  clip_sample_range: z.number().default(1.0),
  set_alpha_to_one: z.boolean().default(true),
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  timestep_spacing: timestepSpacing.default("leading"),
  steps_offset: stepsOffset,
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

type DdimConfig = z.output<typeof ddimConfig>;

/**
 * The DDIM solver with the meaning of `DDIMScheduler.from_config(schedulerConfig)`. With η above 0
 * it draws noise of the latents' shape once per step, after the network ran.
 *
 * @throws InvalidFileError if the config has a value that DDIMScheduler does not take
 * @throws ArgumentError if the network was trained on fewer timesteps, or not on the first one used
 */
export function createDdim(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(ddimConfig, schedulerConfig);
  requireFewerSteps(numInferenceSteps, config.num_train_timesteps);
  const timesteps = spacedTimesteps(config, numInferenceSteps).map(roundHalfToEven);
  requireTrainedTimesteps(timesteps, config);
  const alphas = alphasCumprod(config);
  requireSignal(config.prediction_type, alphas[timesteps[0]], timesteps[0]);
  const distance = Math.floor(config.num_train_timesteps / numInferenceSteps);
  return {
    name: "ddim",
    config,
    numInferenceSteps,
    timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) =>
      sampleDdim(config, alphas, timesteps, distance, denoise, latents, options),
  };
}

async function* sampleDdim(
  config: DdimConfig,
  alphas: Float32Array,
  timesteps: readonly number[],
  stepDistance: number,
  denoise: Denoise,
  start: FloatTensor,
  { eta = 0, generator }: SolverOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround, sqrt } = Math;
  if (!(eta >= 0)) throw new ArgumentError(`eta: must be 0 or more, got ${eta}`);
  const generators = eta > 0 ? requireGenerators(generator, `eta: ${eta}`) : undefined;
  const finalAlpha = config.set_alpha_to_one ? 1 : alphas[0];
  let latents = start;

  for (const [index, timestep] of timesteps.entries()) {
    const modelOutput = (await denoise(latents, timestep)).data;
    const x = latents.data;

    // 1. The two ends of the step. `at`: a timestep of −1, which trailing spacing gives at a
    //    few step counts, reads the last entry here as it does in diffusers.
    const previousTimestep = timestep - stepDistance;
    const alpha = alphas.at(timestep) ?? NaN;
    const alphaPrevious = previousTimestep >= 0 ? alphas[previousTimestep] : finalAlpha;
    const beta = fround(1 - alpha);
    const betaPrevious = fround(1 - alphaPrevious);
    const scales = signalAndNoise(alpha);

    // 2. Predicted original f_θ (eq. 9), kept within range, and predicted noise ε_θ.
    const predictedOriginal = keepInRange(
      config,
      predictOriginal(config.prediction_type, scales, modelOutput, latents),
    );
    const predictedNoise = predictNoise(config.prediction_type, scales, modelOutput, x);

    // 3. σ_t(η) = η √((1 − α_{t−1}) / (1 − α_t)) √(1 − α_t / α_{t−1})   (eq. 16)
    const variance = fround(fround(betaPrevious / beta) * fround(1 - fround(alpha / alphaPrevious)));
    const noiseScale = fround(eta * fround(sqrt(variance)));

    // 4. x_{t−1} = √α_{t−1} f_θ + √(1 − α_{t−1} − σ_t²) ε_θ + σ_t ε   (eq. 12)
    const originalScale = fround(sqrt(alphaPrevious));
    const directionScale = fround(sqrt(fround(betaPrevious - fround(noiseScale * noiseScale))));
    const next = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 1) {
      next[i] = originalScale * predictedOriginal.data[i] + directionScale * predictedNoise[i];
    }
    if (generators !== undefined) {
      const noise = randnTensor(latents.dims, generators).data;
      for (let i = 0; i < x.length; i += 1) next[i] += noiseScale * noise[i];
    }

    latents = { dims: latents.dims, data: next };
    yield { index, timestep, latents, predictedOriginal };
  }
}
