/**
 * DPM-Solver and DPM-Solver++, singlestep (Lu et al. 2022, arXiv 2206.00927 and 2211.01095): a step of order k
 * starts anew from one noise level and evaluates the network at k levels, of which the last evaluation completes it.
 * Here, as in diffusers, every evaluation counts as an inference step and yields latents: those of the highest
 * order that the evaluations since the start allow.
 *
 * Notation: dpmSolverMultistep.ts; s is the level that the step started from.
 *
 * Source: diffusers/schedulers/scheduling_dpmsolver_singlestep.py (0.42).
 */
import type { FloatTensor } from "../../models/tensor.js";
import { randnTensor, requireGenerators } from "../noise.js";
import type { DpmSolverSinglestepConfig } from "./dpmSolverConfig.js";
import { resolveSinglestepConfig } from "./dpmSolverConfig.js";
import { convertModelOutput } from "./dpmSolverPrediction.js";
import { scalesOf, updateWeights } from "./dpmSolverWeights.js";
import { noiseLevels } from "./noiseLevels.js";
import type { NoiseLevels } from "./noiseLevels.js";
import type { Denoise, SampleOptions, Solver, SolverStep } from "./solver.js";

/**
 * The DPM-Solver with the meaning of `DPMSolverSinglestepScheduler.from_config(schedulerConfig)`. The
 * stochastic algorithm draws noise of the latents' shape once an evaluation, after the network ran.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 * @throws ArgumentError if so many steps cannot be told apart among the training timesteps
 */
export function createDpmSolverSinglestep(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const name = "singlestep-dpmsolver++";
  const config = resolveSinglestepConfig(name, schedulerConfig);
  const spacing = { ...config, timestep_spacing: "linspace", steps_offset: 0 } as const;
  const levels = noiseLevels(spacing, numInferenceSteps, { rounds: true, end: "trained" });
  return {
    name,
    config,
    numInferenceSteps,
    timesteps: levels.timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) => sampleSinglestep(config, levels, denoise, latents, options),
  };
}

/** The order of the update after each evaluation (diffusers' `get_order_list`): 1, 2, …, solver_order over and over, lower at the end. */
function orders(config: DpmSolverSinglestepConfig, count: number): number[] {
  const { solver_order: order } = config;
  const list = Array.from({ length: count }, (_, index) => (index % order) + 1);
  // What diffusers changes where it has to: an incomplete last step, or a last σ of 0.
  const lowerOrderFinal = config.lower_order_final || config.final_sigmas_type === "zero" || count % order !== 0;
  if (lowerOrderFinal && count % order === 0) {
    if (order === 3) list.splice(-3, 3, 1, 2, 1);
    if (order === 2) list.splice(-2, 2, 1, 1);
  }
  if (config.final_sigmas_type === "zero") list[count - 1] = 1;
  return list;
}

async function* sampleSinglestep(
  config: DpmSolverSinglestepConfig,
  { timesteps, sigmas }: NoiseLevels,
  denoise: Denoise,
  start: FloatTensor,
  { generator }: SampleOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround } = Math;
  const generators = config.algorithm_type.startsWith("sde-") ? requireGenerators(generator, `algorithm_type: ${config.algorithm_type}`) : undefined;
  const levels = Array.from(sigmas, scalesOf);
  const orderOf = orders(config, timesteps.length);
  let latents = start;
  /** The latents that the step under way started from. */
  let origin = start;
  /** Predictions of the step under way, in order. */
  let predictions: Float32Array[] = [];

  for (const [index, timestep] of timesteps.entries()) {
    const output = await denoise(latents, timestep);
    const { prediction, predictedOriginal } = convertModelOutput(config, config.algorithm_type.endsWith("++"), levels[index], output.data, latents);
    const noise = generators === undefined ? undefined : randnTensor(latents.dims, generators).data;
    const order = orderOf[index];
    if (order === 1) {
      origin = latents;
      predictions = [];
    }
    predictions.push(prediction);

    // x_t = (…) x_s + (…) D_0 + (…) D_1 + (…) D_2 + (…) ε   (2206.00927, algorithms 1 to 3)
    const source = levels[index - order + 1];
    const h = fround(levels[index + 1].lambda - source.lambda);
    const weights = updateWeights(config, order, source, levels[index + 1], h);
    const x = origin.data;
    const [d0, ...later] = predictions;
    const next = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 1) next[i] = fround(weights.x * x[i]) + weights.d0 * d0[i];
    /** How far along the step each later prediction was made. */
    const ratios = later.map((_, k) => fround(fround(levels[index - order + 2 + k].lambda - source.lambda) / h));
    if (order === 2) {
      for (let i = 0; i < x.length; i += 1) next[i] += weights.d1 * (fround(1 / ratios[0]) * fround(later[0][i] - d0[i]));
    }
    if (order === 3) {
      const [r1, r0] = ratios;
      for (let i = 0; i < x.length; i += 1) {
        const middle = fround(fround(1 / r1) * fround(later[0][i] - d0[i]));
        const end = fround(fround(1 / r0) * fround(later[1][i] - d0[i]));
        const d1 = config.solver_type === "midpoint" ? end : (r0 * middle - r1 * end) / fround(r0 - r1);
        const d2 = config.solver_type === "midpoint" ? 0 : (2 * fround(end - middle)) / fround(r0 - r1);
        next[i] += weights.d1 * d1 + weights.d2 * d2;
      }
    }
    if (noise !== undefined) for (let i = 0; i < x.length; i += 1) next[i] += weights.noise * noise[i];

    latents = { dims: latents.dims, data: next };
    yield { index, timestep, latents, predictedOriginal };
  }
}
