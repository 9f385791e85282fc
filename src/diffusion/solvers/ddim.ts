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
import type { FloatTensor } from "../../models/tensor.js";
import { thresholdDynamically } from "../dynamicThresholding.js";
import { randnTensor } from "../noise.js";
import { alphasCumprod } from "../noiseSchedule.js";
import { countdown, linspaceFromZero, roundHalfToEven } from "../timestepSpacing.js";
import { commonSchedulerKeys, fromConfig, requireFewerSteps } from "./schedulerConfig.js";
import type { Denoise, SampleOptions, Solver, SolverStep } from "./solver.js";

const ddimConfig = z.object({
  ...commonSchedulerKeys,
  clip_sample: z.boolean().default(true),
  clip_sample_range: z.number().default(1.0),
  set_alpha_to_one: z.boolean().default(true),
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  timestep_spacing: z.enum(["leading", "trailing", "linspace"]).default("leading"),
});

type DdimConfig = z.output<typeof ddimConfig>;

/**
 * The DDIM solver with the meaning of `DDIMScheduler.from_config(schedulerConfig)`.
 *
 * @throws InvalidFileError if the config has a value that DDIMScheduler does not take
 * @throws ArgumentError if the network was not trained on so many timesteps, or not on the first of them
 */
export function createDdim(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(ddimConfig, schedulerConfig);
  const trainingSteps = config.num_train_timesteps;
  requireFewerSteps(numInferenceSteps, trainingSteps);
  const timesteps = ddimTimesteps(config, numInferenceSteps);
  if (timesteps[0] >= trainingSteps) {
    throw new ArgumentError(
      `steps: with steps_offset ${config.steps_offset} the first of ${numInferenceSteps} timesteps is ${timesteps[0]}, ` +
        `beyond the last training timestep ${trainingSteps - 1} — ask for fewer steps`,
    );
  }
  const alphas = alphasCumprod(config);
  if (config.prediction_type === "epsilon" && alphas[timesteps[0]] === 0) {
    throw new ArgumentError(
      `rescale_betas_zero_snr: no original can be predicted from noise at timestep ${timesteps[0]}, where no signal is left — ` +
        "use leading timestep_spacing, or dpmsolver++",
    );
  }
  return {
    name: "ddim",
    config,
    numInferenceSteps: timesteps.length,
    timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) =>
      sampleDdim(config, alphas, timesteps, Math.floor(trainingSteps / numInferenceSteps), denoise, latents, options),
  };
}

function ddimTimesteps(config: DdimConfig, count: number): number[] {
  const trainingSteps = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace":
      return linspaceFromZero(trainingSteps - 1, count).map(roundHalfToEven).reverse();
    case "leading": {
      const distance = Math.floor(trainingSteps / count);
      return Array.from({ length: count }, (_, i) => (count - 1 - i) * distance + config.steps_offset);
    }
    case "trailing":
      return countdown(trainingSteps, trainingSteps / count).map((position) => roundHalfToEven(position) - 1);
  }
}

async function* sampleDdim(
  config: DdimConfig,
  alphas: Float32Array,
  timesteps: readonly number[],
  stepDistance: number,
  denoise: Denoise,
  start: FloatTensor,
  { eta = 0, generator }: SampleOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround, sqrt } = Math;
  if (!(eta >= 0)) throw new ArgumentError(`eta: must be 0 or more, got ${eta}`);
  if (eta > 0 && generator === undefined) throw new ArgumentError(`eta: ${eta} draws noise, which needs a generator`);
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
    const sqrtAlpha = fround(sqrt(alpha));
    const sqrtBeta = fround(sqrt(beta));

    // 2. Predicted original f_θ (eq. 9) and predicted noise ε_θ, from what the network predicts.
    const original = new Float32Array(x.length);
    const predictedNoise = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 1) {
      switch (config.prediction_type) {
        case "epsilon":
          original[i] = (x[i] - sqrtBeta * modelOutput[i]) / sqrtAlpha;
          predictedNoise[i] = modelOutput[i];
          break;
        case "sample":
          original[i] = modelOutput[i];
          predictedNoise[i] = (x[i] - sqrtAlpha * modelOutput[i]) / sqrtBeta;
          break;
        case "v_prediction":
          original[i] = sqrtAlpha * x[i] - sqrtBeta * modelOutput[i];
          predictedNoise[i] = sqrtAlpha * modelOutput[i] + sqrtBeta * x[i];
          break;
      }
    }

    // 3. Keep the predicted original within range.
    let predictedOriginal: FloatTensor = { dims: latents.dims, data: original };
    if (config.thresholding) {
      predictedOriginal = thresholdDynamically(predictedOriginal, config);
    } else if (config.clip_sample) {
      const range = config.clip_sample_range;
      predictedOriginal = { dims: latents.dims, data: original.map((value) => Math.min(Math.max(value, -range), range)) };
    }

    // 4. σ_t(η) = η √((1 − α_{t−1}) / (1 − α_t)) √(1 − α_t / α_{t−1})   (eq. 16)
    const variance = fround(fround(betaPrevious / beta) * fround(1 - fround(alpha / alphaPrevious)));
    const noiseScale = fround(eta * fround(sqrt(variance)));

    // 5. x_{t−1} = √α_{t−1} f_θ + √(1 − α_{t−1} − σ_t²) ε_θ + σ_t ε   (eq. 12)
    const originalScale = fround(sqrt(alphaPrevious));
    const directionScale = fround(sqrt(fround(betaPrevious - fround(noiseScale * noiseScale))));
    const next = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 1) {
      next[i] = originalScale * predictedOriginal.data[i] + directionScale * predictedNoise[i];
    }
    if (eta > 0 && generator !== undefined) {
      const noise = randnTensor(latents.dims, generator).data;
      for (let i = 0; i < x.length; i += 1) next[i] += noiseScale * noise[i];
    }

    latents = { dims: latents.dims, data: next };
    yield { index, timestep, latents, predictedOriginal };
  }
}
