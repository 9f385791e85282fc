import { z } from "zod";
import { positiveAlphasCumprod } from "./noiseSchedule.js";
import { fromConfig, noiseScheduleKeys, rescaleBetasZeroSnr } from "./solvers/schedulerConfig.js";
import type { Solver } from "./solvers/solver.js";

/** Where a network evaluation stands in time, by three clocks. */
export interface EvaluationTime {
  /** 0-based in sampling order: the step index for solvers of one evaluation a step */
  readonly evaluation: number;
  /** training timestep, falling */
  readonly timestep: number;
  /** ln(ᾱ / (1 − ᾱ)) at the timestep, rising */
  readonly logSnr: number;
}

const forwardProcess = z.object({
  ...noiseScheduleKeys,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2", "exp"]).default("linear"),
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

/** The times of a solver's network evaluations; between two training timesteps log-SNR runs linearly. */
export function evaluationTimes({ config, timesteps }: Pick<Solver, "config" | "timesteps">): EvaluationTime[] {
  const alphas = positiveAlphasCumprod(fromConfig(forwardProcess, config));
  const logSnrAt = (training: number): number => {
    const alpha = alphas[Math.min(Math.max(training, 0), alphas.length - 1)];
    return Math.log(alpha / (1 - alpha));
  };
  return timesteps.map((timestep, evaluation) => {
    const before = Math.floor(timestep);
    const logSnr = logSnrAt(before) + (timestep - before) * (logSnrAt(before + 1) - logSnrAt(before));
    return { evaluation, timestep, logSnr };
  });
}
