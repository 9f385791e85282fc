/**
 * What one DPM-Solver step multiplies its terms by (notation: dpmSolverMultistep.ts).
 *
 * Source: `dpm_solver_first_order_update`, `…_second_order_update` and `…_third_order_update` in
 * diffusers/schedulers/scheduling_dpmsolver_multistep.py and …_singlestep.py (0.42).
 */
import type { SignalAndNoise } from "./predictedOriginal.js";

/** Signal scale α, noise scale σ and λ = log α − log σ of a noise level, float32. */
export interface Scales extends SignalAndNoise {
  readonly lambda: number;
}

/** The keys that tell the DPM-Solvers apart. */
export interface AlgorithmConfig {
  readonly algorithm_type: "dpmsolver" | "dpmsolver++" | "sde-dpmsolver" | "sde-dpmsolver++";
  readonly solver_type: "midpoint" | "heun";
}

/** The scales of a noise level σ̂ = σ/α. */
export function scalesOf(noiseLevel: number): Scales {
  const { fround, sqrt, log } = Math;
  const alpha = fround(1 / fround(sqrt(fround(fround(noiseLevel * noiseLevel) + 1))));
  const sigma = fround(noiseLevel * alpha);
  return { alpha, sigma, lambda: fround(fround(log(alpha)) - fround(log(sigma))) };
}

/** What each term of the update is multiplied by. */
export interface UpdateWeights {
  readonly x: number;
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly noise: number;
}

/**
 * The weights of a step of this order. The exponential integrals φ of each algorithm are
 * rounded to float32 at every operation: for small h they are differences of nearly equal
 * numbers, and diffusers' rounding errors there are part of its result.
 */
export function updateWeights(
  config: AlgorithmConfig,
  order: number,
  source: Scales,
  target: Scales,
  h: number,
): UpdateWeights {
  const { fround, exp, sqrt } = Math;
  const midpoint = order === 2 && config.solver_type === "midpoint";
  switch (config.algorithm_type) {
    case "dpmsolver++": {
      const phi1 = fround(fround(exp(-h)) - 1);
      const d0 = -fround(target.alpha * phi1);
      return {
        x: fround(target.sigma / source.sigma),
        d0,
        d1: midpoint ? 0.5 * d0 : fround(target.alpha * fround(fround(phi1 / h) + 1)),
        d2: -fround(target.alpha * fround(fround(fround(phi1 + h) / fround(h * h)) - 0.5)),
        noise: 0,
      };
    }
    case "dpmsolver": {
      const phi1 = fround(fround(exp(h)) - 1);
      const d0 = -fround(target.sigma * phi1);
      return {
        x: fround(target.alpha / source.alpha),
        d0,
        d1: midpoint ? 0.5 * d0 : -fround(target.sigma * fround(fround(phi1 / h) - 1)),
        d2: -fround(target.sigma * fround(fround(fround(phi1 - h) / fround(h * h)) - 0.5)),
        noise: 0,
      };
    }
    case "sde-dpmsolver++": {
      const h2 = fround(2 * h);
      const phi1 = fround(1 - fround(exp(-h2)));
      const d0 = fround(target.alpha * phi1);
      return {
        x: fround(fround(target.sigma / source.sigma) * fround(exp(-h))),
        d0,
        d1: midpoint ? 0.5 * d0 : fround(target.alpha * fround(fround(phi1 / -h2) + 1)),
        d2: fround(target.alpha * fround(fround(fround(phi1 - h2) / fround(h2 * h2)) - 0.5)),
        noise: fround(target.sigma * fround(sqrt(phi1))),
      };
    }
    case "sde-dpmsolver": {
      const phi1 = fround(fround(exp(h)) - 1);
      const half = -fround(target.sigma * phi1);
      return {
        x: fround(target.alpha / source.alpha),
        d0: 2 * half,
        d1: midpoint ? half : -2 * fround(target.sigma * fround(fround(phi1 / h) - 1)),
        d2: 0,
        noise: fround(target.sigma * fround(sqrt(fround(fround(exp(fround(2 * h))) - 1)))),
      };
    }
  }
}
