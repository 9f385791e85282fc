/** Where the DPM-Solvers and UniPC evaluate the network. */
import { ArgumentError } from "../../errors.js";
import { positiveAlphasCumprod } from "../noiseSchedule.js";
import type { NoiseScheduleConfig } from "../noiseSchedule.js";
import { countdown, linspace, roundHalfToEven } from "../timestepSpacing.js";
import type { TimestepSpacingConfig } from "../timestepSpacing.js";
import { respacedSigmas } from "./respacedSigmas.js";
import type { RespacingConfig } from "./respacedSigmas.js";
import { requireDistinctLevels, requireFewerSteps } from "./schedulerConfig.js";
import { sigmaAt, timestepAt, trainingSigmas } from "./trainingSigmas.js";

/** Timesteps and noise levels of a sampling run. */
export interface NoiseLevels {
  /** one per network evaluation */
  readonly timesteps: readonly number[];
  /** σ = √((1 − ᾱ) / ᾱ) at each timestep, and the level that the last step ends at */
  readonly sigmas: Float32Array;
}

/** The keys that the levels follow from. */
export interface NoiseLevelsConfig extends NoiseScheduleConfig, TimestepSpacingConfig, RespacingConfig {
  readonly final_sigmas_type: "zero" | "sigma_min";
  /** Levels evenly spaced in log σ (Lu et al. 2022). */
  readonly use_lu_lambdas?: boolean | null;
  /** Training timesteps whose λ = log(α/σ) is below this are left out. Default: −∞ */
  readonly lambda_min_clipped?: number | string;
}

/** Where the scheduler classes differ, for levels that are not spaced by timesteps. */
export interface RespacingRules {
  /** Whether Karras' and Lu's timesteps are rounded; all others are truncated. */
  readonly rounds: boolean;
  /** What sigma_min means at the end of a run: the lowest level trained on, or the lowest of the run. */
  readonly end: "trained" | "respaced";
}

/**
 * Timesteps (integers) and noise levels for a number of steps.
 *
 * Source: `set_timesteps` of diffusers' DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler and
 * UniPCMultistepScheduler.
 *
 * @throws ArgumentError if lambda_min_clipped leaves no training timestep, or this many steps cannot be told apart
 */
export function noiseLevels(config: NoiseLevelsConfig, numInferenceSteps: number, rules: RespacingRules): NoiseLevels {
  requireFewerSteps(numInferenceSteps, config.num_train_timesteps);
  const alphas = positiveAlphasCumprod(config);
  const trained = trainingSigmas(alphas);
  const lowest = trained[0];
  const logTrained = trained.map(Math.log);
  const usesLu = config.use_lu_lambdas === true && config.use_karras_sigmas !== true;
  const respaced = usesLu
    ? linspace(0, 1, numInferenceSteps).map((position) =>
        Math.exp(logTrained[trained.length - 1] + position * (logTrained[0] - logTrained[trained.length - 1])),
      )
    : respacedSigmas(config, { highest: trained[trained.length - 1], lowest }, numInferenceSteps);

  const timesteps =
    respaced === undefined
      ? evenTimesteps(config, numInferenceSteps, usableTrainingSteps(config, alphas))
      : respaced
          .map((sigma) => timestepAt(logTrained, sigma))
          .map(rules.rounds && (usesLu || config.use_karras_sigmas === true) ? roundHalfToEven : Math.trunc);
  const levels = respaced ?? timesteps.map((timestep) => sigmaAt(trained, timestep));
  const sigmaMin = respaced === undefined || rules.end === "trained" ? lowest : respaced[respaced.length - 1];
  const sigmas = Float32Array.of(...levels, config.final_sigmas_type === "sigma_min" ? sigmaMin : 0);
  requireDistinctLevels(sigmas);
  return { timesteps, sigmas };
}

/** Leaves out the noisiest training timesteps, whose λ = log(α/σ) is below lambda_min_clipped. */
function usableTrainingSteps(
  { lambda_min_clipped: limit = -Infinity, num_train_timesteps }: NoiseLevelsConfig,
  alphasCumprod: Float32Array,
): number {
  const { fround, sqrt, log } = Math;
  const smallest = fround(Number(limit));
  const lambda = alphasCumprod.map(
    (value) => fround(log(fround(sqrt(value)))) - fround(log(fround(sqrt(fround(1 - value))))),
  );
  const usable = num_train_timesteps - lambda.filter((value) => value < smallest).length;
  if (usable === 0)
    throw new ArgumentError(
      `lambda_min_clipped: ${limit} is above that of every training timestep, so that none is left`,
    );
  return usable;
}

function evenTimesteps(config: NoiseLevelsConfig, count: number, usableSteps: number): number[] {
  switch (config.timestep_spacing) {
    case "linspace":
      return linspace(0, usableSteps - 1, count + 1)
        .map(roundHalfToEven)
        .slice(1)
        .reverse();
    case "leading": {
      const distance = Math.floor(usableSteps / (count + 1));
      return Array.from({ length: count }, (_, i) => (count - i) * distance + config.steps_offset);
    }
    case "trailing":
      return countdown(usableSteps, config.num_train_timesteps / count).map(
        (position) => roundHalfToEven(position) - 1,
      );
  }
}
