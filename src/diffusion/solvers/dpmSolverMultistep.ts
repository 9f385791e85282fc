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
import type { FloatTensor } from "../../models/tensor.js";
import { randnTensor, requireGenerators } from "../noise.js";
import type { DpmSolverMultistepConfig } from "./dpmSolverConfig.js";
import { resolveMultistepConfig } from "./dpmSolverConfig.js";
import { convertModelOutput } from "./dpmSolverPrediction.js";
import { scalesOf, updateWeights } from "./dpmSolverWeights.js";
import { noiseLevels } from "./noiseLevels.js";
import type { NoiseLevels } from "./noiseLevels.js";
import type { Denoise, SampleOptions, Solver, SolverStep } from "./solver.js";

/** Below this many steps lower_order_final has effect. */
const FEW_STEPS = 15;

/**
 * The DPM-Solver with the meaning of `DPMSolverMultistepScheduler.from_config(schedulerConfig)`. The
 * stochastic algorithms draw noise of the latents' shape once a step, after the network ran, at the last
 * step too.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 * @throws ArgumentError if so many steps cannot be told apart among the training timesteps
 */
export function createDpmSolverMultistep(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  return multistep("dpmsolver++", resolveMultistepConfig("dpmsolver++", schedulerConfig), numInferenceSteps);
}

/** The same with the meaning of `from_config(schedulerConfig, algorithm_type="sde-dpmsolver++")`. */
export function createSdeDpmSolverMultistep(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const name = "sde-dpmsolver++";
  return multistep(name, resolveMultistepConfig(name, schedulerConfig, { algorithm_type: name }), numInferenceSteps);
}

function multistep(name: Solver["name"], config: DpmSolverMultistepConfig, numInferenceSteps: number): Solver {
  const levels = noiseLevels(config, numInferenceSteps, { rounds: config.beta_schedule !== "squaredcos_cap_v2", end: "trained" });
  return {
    name,
    config,
    numInferenceSteps,
    timesteps: levels.timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) => sampleDpmSolver(config, levels, denoise, latents, options),
  };
}

async function* sampleDpmSolver(
  config: DpmSolverMultistepConfig,
  { timesteps, sigmas }: NoiseLevels,
  denoise: Denoise,
  start: FloatTensor,
  { generator }: SampleOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround } = Math;
  const generators = config.algorithm_type.startsWith("sde-") ? requireGenerators(generator, `algorithm_type: ${config.algorithm_type}`) : undefined;
  const levels = Array.from(sigmas, scalesOf);
  const lastIndex = timesteps.length - 1;
  const fewSteps = config.lower_order_final && timesteps.length < FEW_STEPS;
  const dims = start.dims;
  let latents = start;
  /** Predictions of this step and up to two before, newest first. */
  let predictions: Float32Array[] = [];

  for (const [index, timestep] of timesteps.entries()) {
    const modelOutput = await denoise(latents, timestep);
    const x = latents.data;
    const source = levels[index];
    const target = levels[index + 1];

    // 1. What is integrated, and the predicted original, from what the network predicts.
    const { prediction, predictedOriginal } = convertModelOutput(config, config.algorithm_type.endsWith("++"), source, modelOutput.data, latents);
    predictions = [prediction, ...predictions.slice(0, 2)];

    // 2. Noise of the stochastic variants, drawn after the network ran.
    const noise = generators === undefined ? undefined : randnTensor(dims, generators).data;

    // 3. The order of this step: as many predictions as there are, fewer towards the end.
    const firstOrder = index === lastIndex && (config.euler_at_final || fewSteps || config.final_sigmas_type === "zero");
    const secondOrder = index === lastIndex - 1 && fewSteps;
    const order = firstOrder ? 1 : Math.min(config.solver_order, index + 1, secondOrder ? 2 : 3);

    // 4. x_t = (…) x_s + (…) D_0 + (…) D_1 + (…) D_2 + (…) ε   (2211.01095, algorithms 2 and 3)
    const h = fround(target.lambda - source.lambda);
    const weights = updateWeights(config, order, source, target, h);
    const d0 = predictions[0];
    const next = new Float32Array(x.length);
    for (let i = 0; i < x.length; i += 1) next[i] = fround(weights.x * x[i]) + weights.d0 * d0[i];
    if (order === 2) {
      const r0 = fround(fround(source.lambda - levels[index - 1].lambda) / h);
      const m1 = predictions[1];
      for (let i = 0; i < x.length; i += 1) next[i] += weights.d1 * (fround(1 / r0) * fround(d0[i] - m1[i]));
    }
    if (order === 3) {
      const r0 = fround(fround(source.lambda - levels[index - 1].lambda) / h);
      const r1 = fround(fround(levels[index - 1].lambda - levels[index - 2].lambda) / h);
      const [, m1, m2] = predictions;
      const extrapolation = fround(r0 / fround(r0 + r1));
      for (let i = 0; i < x.length; i += 1) {
        const recent = fround(fround(1 / r0) * fround(d0[i] - m1[i]));
        const earlier = fround(fround(1 / r1) * fround(m1[i] - m2[i]));
        const change = fround(recent - earlier);
        const d1 = recent + extrapolation * change;
        const d2 = change / fround(r0 + r1);
        next[i] += weights.d1 * d1 + weights.d2 * d2;
      }
    }
    if (noise !== undefined) for (let i = 0; i < x.length; i += 1) next[i] += weights.noise * noise[i];

    latents = { dims, data: next };
    yield { index, timestep, latents, predictedOriginal };
  }
}
