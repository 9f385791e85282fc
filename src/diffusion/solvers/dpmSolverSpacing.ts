import { ArgumentError } from "../../errors.js";
import { alphasCumprod } from "../noiseSchedule.js";
import { countdown, linspaceFromZero, roundHalfToEven } from "../timestepSpacing.js";
import type { DpmSolverConfig } from "./dpmSolverConfig.js";
import { lambdaMinClipped } from "./dpmSolverConfig.js";

/** Where DPM-Solver evaluates the network, and the noise level there. */
export interface NoiseLevels {
  /** Integers, one a network evaluation. */
  readonly timesteps: readonly number[];
  /** σ = √((1 − ᾱ) / ᾱ) at each timestep, and one more: the level the last step ends at. */
  readonly sigmas: Float32Array;
}

/** The smallest positive ᾱ of a zero-terminal-SNR schedule, so that the first σ is finite (diffusers' own). */
const SMALLEST_ALPHA_CUMPROD = 2 ** -24;

/**
 * Timesteps and noise levels for a number of steps.
 *
 * Source: diffusers' `DPMSolverMultistepScheduler.set_timesteps`.
 *
 * @throws ArgumentError if lambda_min_clipped leaves no training timestep
 */
export function noiseLevels(config: DpmSolverConfig, numInferenceSteps: number): NoiseLevels {
  const { fround, sqrt, log } = Math;
  const alphaBar = alphasCumprod(config);
  if (config.rescale_betas_zero_snr) alphaBar[alphaBar.length - 1] = SMALLEST_ALPHA_CUMPROD;
  const trainingSigmas = alphaBar.map((value) => sqrt(fround(fround(1 - value) / value)));
  const lastSigma = config.final_sigmas_type === "sigma_min" ? trainingSigmas[0] : 0;

  if (config.use_lu_lambdas === true) {
    const logSigmas = trainingSigmas.map(log);
    const highest = logSigmas[logSigmas.length - 1];
    const span = logSigmas[0] - highest;
    const ramp = linspaceFromZero(1, numInferenceSteps);
    const sigmas = ramp.map((position) => Math.exp(highest + position * span));
    const positions = sigmas.map((sigma) => trainingPosition(log(sigma), logSigmas));
    const rounded = config.beta_schedule === "squaredcos_cap_v2" ? positions : positions.map(roundHalfToEven);
    return { timesteps: rounded.map(Math.trunc), sigmas: Float32Array.of(...sigmas, lastSigma) };
  }

  const usableSteps = usableTrainingSteps(config, alphaBar);
  if (usableSteps === 0) {
    throw new ArgumentError(`lambda_min_clipped: ${config.lambda_min_clipped} is above every training timestep's, so that none is left`);
  }
  const timesteps = evenTimesteps(config, numInferenceSteps, usableSteps);
  const clamp = (timestep: number): number => Math.min(Math.max(timestep, 0), trainingSigmas.length - 1);
  const sigmas = timesteps.map((timestep) => trainingSigmas[clamp(timestep)]);
  return { timesteps, sigmas: Float32Array.of(...sigmas, lastSigma) };
}

/** Leaves out the noisiest training timesteps, whose λ = log(α/σ) is below lambda_min_clipped. */
function usableTrainingSteps(config: DpmSolverConfig, alphaBar: Float32Array): number {
  const { fround, sqrt, log } = Math;
  const smallest = fround(lambdaMinClipped(config));
  const lambda = alphaBar.map((value) => fround(log(fround(sqrt(value)))) - fround(log(fround(sqrt(fround(1 - value))))));
  return config.num_train_timesteps - lambda.filter((value) => value < smallest).length;
}

function evenTimesteps(config: DpmSolverConfig, count: number, usableSteps: number): number[] {
  switch (config.timestep_spacing) {
    case "linspace":
      return linspaceFromZero(usableSteps - 1, count + 1)
        .map(roundHalfToEven)
        .slice(1)
        .reverse();
    case "leading": {
      const distance = Math.floor(usableSteps / (count + 1));
      return Array.from({ length: count }, (_, i) => (count - i) * distance + config.steps_offset);
    }
    case "trailing":
      return countdown(usableSteps, config.num_train_timesteps / count).map((position) => roundHalfToEven(position) - 1);
  }
}

/** The (fractional) training timestep of a log σ, by linear interpolation between the training ones. */
function trainingPosition(logSigma: number, logSigmas: Float32Array): number {
  let below = 0;
  while (below < logSigmas.length - 2 && logSigmas[below + 1] <= logSigma) below += 1;
  const low = logSigmas[below];
  const high = logSigmas[below + 1];
  const weight = Math.min(Math.max((low - logSigma) / Math.fround(low - high), 0), 1);
  return (1 - weight) * below + weight * (below + 1);
}
