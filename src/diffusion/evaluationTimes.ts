import { z } from "zod";
import { positiveAlphasCumprod } from "./noiseSchedule.js";
import { fromConfig, noiseScheduleKeys, rescaleBetasZeroSnr } from "./solvers/schedulerConfig.js";
import type { Solver } from "./solvers/solver.js";

/** Where a network evaluation stands in time, by three clocks. */
export interface EvaluationTime {
  /** 0-based in sampling order: the step index for solvers with one evaluation per step */
  readonly evaluation: number;
  /** training timestep, falling */
  readonly timestep: number;
  /** ln(ᾱ / (1 − ᾱ)) at the timestep, rising */
  readonly logSnr: number;
}

/** The keys of all scheduler classes that fix the forward process; "exp" is Heun's. */
const forwardProcess = z.object({
  ...noiseScheduleKeys,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2", "exp"]).default("linear"),
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

/** The times of a solver's network evaluations; between two training timesteps log-SNR runs linearly. */
export function evaluationTimes({ config, timesteps }: Pick<Solver, "config" | "timesteps">): EvaluationTime[] {
  const logSnrAt = isContinuous(config)
    ? continuousLogSnr
    : trainedLogSnr(positiveAlphasCumprod(fromConfig(forwardProcess, config)));
  return timesteps.map((timestep, evaluation) => ({ evaluation, timestep, logSnr: logSnrAt(timestep) }));
}

function trainedLogSnr(alphas: Float32Array): (timestep: number) => number {
  const at = (training: number): number => {
    const alpha = alphas[Math.min(Math.max(training, 0), alphas.length - 1)];
    return Math.log(alpha / (1 - alpha));
  };
  return (timestep) => {
    const before = Math.floor(timestep);
    return at(before) + (timestep - before) * (at(before + 1) - at(before));
  };
}

/** diffusers' continuous timesteps are ¼ ln σ of x₀ + σ ε (EulerDiscreteScheduler). */
function isContinuous({ timestep_type, prediction_type }: Solver["config"]): boolean {
  return timestep_type === "continuous" && prediction_type === "v_prediction";
}

/** ln(1 / σ²) of t = ¼ ln σ */
function continuousLogSnr(timestep: number): number {
  return -8 * timestep;
}
