/**
 * DPM-Solver and DPM-Solver++, multistep (Lu et al. 2022, arXiv 2206.00927 and 2211.01095),
 * and their stochastic variants.
 *
 * Notation (paper → here); s is the level a step starts from, t the one it ends at
 *   x            latents
 *   σ̂ = σ/α      sigmas           diffusers' sigma, the noise level relative to the signal
 *   α, σ         alpha, sigma     signal and noise scale, α² + σ² = 1
 *   λ            lambda           log(α/σ)
 *   h            h                λ_t − λ_s
 *   r_0, r_1     r0, r1           earlier steps' h ÷ this h
 *   x_θ or ε_θ   prediction       what the solver integrates: x_θ for the ++ types, else ε_θ
 *   D_0 D_1 D_2  d0, d1, d2       backward differences of the predictions
 *
 * Source: diffusers/schedulers/scheduling_dpmsolver_multistep.py (0.42).
 */
import { dpmSolver } from "./dpmSolver.js";
import type { DpmMethod } from "./dpmSolver.js";
import type { DpmSolverMultistepConfig } from "./dpmSolverConfig.js";
import { resolveMultistepConfig } from "./dpmSolverConfig.js";
import { noiseLevels } from "./noiseLevels.js";
import type { Solver } from "./solver.js";

/** Below this many steps lower_order_final has effect. */
const FEW_STEPS = 15;

/**
 * The DPM-Solver with the meaning of `DPMSolverMultistepScheduler.from_config(schedulerConfig)`. The
 * stochastic algorithms draw noise of the latents' shape once per step, after the network ran, also at the last step.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createDpmSolverMultistep(
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  return multistep("dpmsolver++", resolveMultistepConfig("dpmsolver++", schedulerConfig), numInferenceSteps);
}

/** The same with the meaning of `from_config(schedulerConfig, algorithm_type="sde-dpmsolver++")`. */
export function createSdeDpmSolverMultistep(
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  const name = "sde-dpmsolver++";
  return multistep(name, resolveMultistepConfig(name, schedulerConfig, { algorithm_type: name }), numInferenceSteps);
}

function multistep(name: Solver["name"], config: DpmSolverMultistepConfig, numInferenceSteps: number): Solver {
  const levels = noiseLevels(config, numInferenceSteps, {
    rounds: config.beta_schedule !== "squaredcos_cap_v2",
    end: "trained",
  });
  return dpmSolver(name, config, numInferenceSteps, levels, multistepMethod(config, levels.timesteps.length));
}

/** Each update starts from its own evaluation's latents, with differences to the predictions before it. */
function multistepMethod(config: DpmSolverMultistepConfig, count: number): DpmMethod {
  const { fround } = Math;
  const lastIndex = count - 1;
  const fewSteps = config.lower_order_final && count < FEW_STEPS;
  return (levels) => {
    /** Predictions of this step and up to two before, newest first. */
    let predictions: Float32Array[] = [];
    return (index, from, prediction) => {
      predictions = [prediction, ...predictions.slice(0, 2)];
      // The order grows with the predictions at hand, and falls towards the end.
      const firstOrder =
        index === lastIndex && (config.euler_at_final || fewSteps || config.final_sigmas_type === "zero");
      const secondOrder = index === lastIndex - 1 && fewSteps;
      const order = firstOrder ? 1 : Math.min(config.solver_order, index + 1, secondOrder ? 2 : 3);
      if (order === 1) return { order, from, source: index, prediction };

      // 2211.01095, algorithms 2 and 3
      const [d0, m1, m2] = predictions;
      return {
        order,
        from,
        source: index,
        prediction,
        differences(weights, h) {
          const r0 = fround(fround(levels[index].lambda - levels[index - 1].lambda) / h);
          if (order === 2) return (i) => weights.d1 * (fround(1 / r0) * fround(d0[i] - m1[i]));
          const r1 = fround(fround(levels[index - 1].lambda - levels[index - 2].lambda) / h);
          const extrapolation = fround(r0 / fround(r0 + r1));
          return (i) => {
            const recent = fround(fround(1 / r0) * fround(d0[i] - m1[i]));
            const earlier = fround(fround(1 / r1) * fround(m1[i] - m2[i]));
            const change = fround(recent - earlier);
            const d1 = recent + extrapolation * change;
            const d2 = change / fround(r0 + r1);
            return weights.d1 * d1 + weights.d2 * d2;
          };
        },
      };
    };
  };
}
