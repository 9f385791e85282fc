/**
 * What Euler's and Heun's methods share: latents are x = x_0 + σ ε (variance exploding), and the network, which
 * was trained on α x with α = 1 / √(σ² + 1), is given exactly that (diffusers' `scale_model_input`).
 *
 * Source: diffusers/schedulers/scheduling_euler_discrete.py, …_euler_ancestral_discrete.py and …_heun_discrete.py (0.42).
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import { linspaceFloat32, positiveAlphasCumprod } from "../noiseSchedule.js";
import type { NoiseScheduleConfig } from "../noiseSchedule.js";
import { spacedTimesteps } from "../timestepSpacing.js";
import type { TimestepSpacingConfig } from "../timestepSpacing.js";
import type { NoiseLevels } from "./noiseLevels.js";
import { keepInRange } from "./predictedOriginal.js";
import type { PredictionType, RangeConfig } from "./predictedOriginal.js";
import { respacedSigmas } from "./respacedSigmas.js";
import type { RespacingConfig } from "./respacedSigmas.js";
import { requireFewerSteps } from "./schedulerConfig.js";
import type { Solver, SolverOptions, SolverStep } from "./solver.js";
import { sigmaAt, timestepAt, trainingSigmas } from "./trainingSigmas.js";

/** The keys that these solvers take their noise levels from; those that a class lacks keep their default. */
interface VarianceExplodingConfig extends NoiseScheduleConfig, TimestepSpacingConfig, Partial<RespacingConfig> {
  readonly prediction_type: PredictionType;
  readonly interpolation_type?: "linear" | "log_linear";
  readonly timestep_type?: "discrete" | "continuous";
  readonly final_sigmas_type?: "zero" | "sigma_min";
}

/** Timesteps (they may lie between the training ones) and noise levels for a number of steps. */
function varianceExplodingLevels(config: VarianceExplodingConfig, numInferenceSteps: number): NoiseLevels {
  requireFewerSteps(numInferenceSteps, config.num_train_timesteps);
  const { fround, log } = Math;
  const trained = trainingSigmas(positiveAlphasCumprod(config));
  const logTrained = trained.map(log);
  let timesteps = spacedTimesteps(config, numInferenceSteps).map(fround);
  let levels =
    config.interpolation_type === "log_linear"
      ? Array.from(linspaceFloat32(logTrained[trained.length - 1], logTrained[0], numInferenceSteps + 1).map(Math.exp))
      : timesteps.map((timestep) => sigmaAt(trained, timestep));

  const respacing = {
    use_karras_sigmas: false,
    use_exponential_sigmas: false,
    use_beta_sigmas: false,
    sigma_min: null,
    sigma_max: null,
    ...config,
  };
  const respaced = respacedSigmas(
    respacing,
    { highest: levels[0], lowest: levels[levels.length - 1] },
    numInferenceSteps,
  );
  if (respaced !== undefined) {
    levels = respaced;
    timesteps = respaced.map((sigma) => fround(timestepAt(logTrained, sigma)));
  }
  const sigmas = Float32Array.of(...levels, config.final_sigmas_type === "sigma_min" ? trained[0] : 0);
  if (config.timestep_type === "continuous" && config.prediction_type === "v_prediction") {
    timesteps = Array.from(sigmas.subarray(0, -1), (sigma) => 0.25 * fround(log(sigma)));
  }
  return { timesteps, sigmas };
}

/** What one of these solvers does in addition to what they share. */
interface VarianceExplodingMethod {
  readonly name: Solver["name"];
  readonly config: VarianceExplodingConfig & RangeConfig & Solver["config"];
  readonly numInferenceSteps: number;
  /** timesteps of the network evaluations at one of the levels, from its timestep. Default: that one */
  readonly evaluations?: (timestep: number, step: number) => readonly number[];
  readonly sample: (
    evaluate: EvaluateAt,
    levels: NoiseLevels,
    start: FloatTensor,
    options: SolverOptions,
  ) => AsyncGenerator<SolverStep, void, undefined>;
}

/** Runs the network at a step's noise level: x_0 as predicted there, and dx/dσ. */
export type EvaluateAt = (
  latents: FloatTensor,
  step: number,
) => Promise<{ readonly predictedOriginal: FloatTensor; readonly slope: Float32Array }>;

/**
 * A solver of this form.
 *
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function varianceExplodingSolver({
  name,
  config,
  numInferenceSteps,
  evaluations,
  sample,
}: VarianceExplodingMethod): Solver {
  const levels = varianceExplodingLevels(config, numInferenceSteps);
  const { timesteps, sigmas } = levels;
  return {
    name,
    config,
    numInferenceSteps,
    timesteps: evaluations === undefined ? timesteps : timesteps.flatMap(evaluations),
    initNoiseSigma: initNoiseSigma(config, levels),
    sample(denoise, start, options = {}) {
      const evaluate: EvaluateAt = async (latents, step) => {
        const output = await denoise(scaleModelInput(latents, sigmas[step]), timesteps[step]);
        const predictedOriginal = keepInRange(
          config,
          predictOriginalAt(config.prediction_type, sigmas[step], output.data, latents),
        );
        return { predictedOriginal, slope: derivative(latents, predictedOriginal, sigmas[step]) };
      };
      return sample(evaluate, levels, start, options);
    },
  };
}

/** The scale of the start noise: the highest σ. Leading spacing starts lower, and adds the original's own variance. */
function initNoiseSigma({ timestep_spacing }: TimestepSpacingConfig, { sigmas }: NoiseLevels): number {
  const { fround, sqrt } = Math;
  const highest = sigmas.reduce((most, sigma) => Math.max(most, sigma));
  return timestep_spacing === "leading" ? fround(sqrt(fround(fround(highest * highest) + 1))) : highest;
}

/** The latents as the network was trained on them: x / √(σ² + 1). */
function scaleModelInput({ dims, data }: FloatTensor, sigma: number): FloatTensor {
  const { fround, sqrt } = Math;
  const scale = fround(sqrt(fround(fround(sigma * sigma) + 1)));
  return { dims, data: data.map((value) => value / scale) };
}

/** The original x_0 from what the network predicted, of the latents' shape. */
function predictOriginalAt(
  type: PredictionType,
  sigma: number,
  output: Float32Array,
  { dims, data: x }: FloatTensor,
): FloatTensor {
  const { fround, sqrt } = Math;
  switch (type) {
    case "epsilon":
      return { dims, data: output.map((noise, i) => x[i] - fround(sigma * noise)) };
    case "sample":
      return { dims, data: output.slice() };
    case "v_prediction": {
      const squares = fround(fround(sigma * sigma) + 1);
      const outputScale = fround(-sigma / fround(sqrt(squares)));
      return { dims, data: output.map((velocity, i) => fround(velocity * outputScale) + fround(x[i] / squares)) };
    }
  }
}

/** dx/dσ = (x − x_0) / σ (Karras et al. 2022, eq. 3). */
function derivative({ data: x }: FloatTensor, predictedOriginal: FloatTensor, sigma: number): Float32Array {
  return x.map((value, i) => Math.fround(value - predictedOriginal.data[i]) / sigma);
}

/** x + dx/dσ · Δσ. */
export function advance({ dims, data: x }: FloatTensor, slope: Float32Array, difference: number): FloatTensor {
  return { dims, data: x.map((value, i) => value + Math.fround(slope[i] * difference)) };
}
