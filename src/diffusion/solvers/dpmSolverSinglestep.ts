/**
 * DPM-Solver and DPM-Solver++, singlestep (Lu et al. 2022, arXiv 2206.00927 and 2211.01095): a step of order k starts
 * afresh from one noise level and evaluates the network at k levels; the last evaluation completes it. Here, as in
 * diffusers, every evaluation counts as an inference step and yields latents, of the highest order that the evaluations
 * since the step's start allow.
 *
 * Notation: dpmSolverMultistep.ts; s is the level that the step started from.
 *
 * Source: diffusers/schedulers/scheduling_dpmsolver_singlestep.py (0.42).
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import { dpmSolver } from "./dpmSolver.js";
import type { DpmMethod } from "./dpmSolver.js";
import type { DpmSolverSinglestepConfig } from "./dpmSolverConfig.js";
import { resolveSinglestepConfig } from "./dpmSolverConfig.js";
import { noiseLevels } from "./noiseLevels.js";
import type { Solver } from "./solver.js";

/**
 * The DPM-Solver with the meaning of `DPMSolverSinglestepScheduler.from_config(schedulerConfig)`. The
 * stochastic algorithm draws noise of the latents' shape once per evaluation, after the network ran.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createDpmSolverSinglestep(
  schedulerConfig: Readonly<Record<string, unknown>>,
  numInferenceSteps: number,
): Solver {
  const name = "singlestep-dpmsolver++";
  const config = resolveSinglestepConfig(name, schedulerConfig);
  const spacing = { ...config, timestep_spacing: "linspace", steps_offset: 0 } as const;
  const levels = noiseLevels(spacing, numInferenceSteps, { rounds: true, end: "trained" });
  return dpmSolver(name, config, numInferenceSteps, levels, singlestepMethod(config, levels.timesteps.length));
}

/** The order of the update after each evaluation (diffusers' `get_order_list`): 1, 2, …, solver_order over and over, lower at the end. */
function orders(config: DpmSolverSinglestepConfig, count: number): number[] {
  const { solver_order: order } = config;
  const list = Array.from({ length: count }, (_, index) => (index % order) + 1);
  // diffusers switches it on where it must: for an incomplete last step, or a last σ of 0.
  const lowerOrderFinal = config.lower_order_final || config.final_sigmas_type === "zero" || count % order !== 0;
  if (lowerOrderFinal && count % order === 0) {
    if (order === 3) list.splice(-3, 3, 1, 2, 1);
    if (order === 2) list.splice(-2, 2, 1, 1);
  }
  if (config.final_sigmas_type === "zero") list[count - 1] = 1;
  return list;
}

/** Each update starts from where its step started, with differences to the prediction there. */
function singlestepMethod(config: DpmSolverSinglestepConfig, count: number): DpmMethod {
  const { fround } = Math;
  const orderOf = orders(config, count);
  return (levels) => {
    /** The latents that the step under way started from, and its predictions so far. */
    let step: { readonly from: FloatTensor; readonly predictions: Float32Array[] } | undefined;
    return (index, latents, newest) => {
      const order = orderOf[index];
      if (order === 1 || step === undefined) step = { from: latents, predictions: [] };
      step.predictions.push(newest);
      const source = index - order + 1;
      const [prediction, middle, end] = step.predictions;
      if (order === 1) return { order, from: step.from, source, prediction };

      // 2206.00927, algorithms 1 to 3
      return {
        order,
        from: step.from,
        source,
        prediction,
        differences(weights, h) {
          /** How far along the step a later prediction was made. */
          const ratioOf = (level: number): number => fround(fround(levels[level].lambda - levels[source].lambda) / h);
          const r1 = ratioOf(source + 1);
          if (order === 2) return (i) => weights.d1 * (fround(1 / r1) * fround(middle[i] - prediction[i]));
          const r0 = ratioOf(source + 2);
          return (i) => {
            const first = fround(fround(1 / r1) * fround(middle[i] - prediction[i]));
            const second = fround(fround(1 / r0) * fround(end[i] - prediction[i]));
            const d1 = config.solver_type === "midpoint" ? second : (r0 * first - r1 * second) / fround(r0 - r1);
            const d2 = config.solver_type === "midpoint" ? 0 : (2 * fround(second - first)) / fround(r0 - r1);
            return weights.d1 * d1 + weights.d2 * d2;
          };
        },
      };
    };
  };
}
