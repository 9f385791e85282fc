/**
 * What the multistep and the singlestep DPM-Solver share: the network's output becomes the prediction that is
 * integrated, and each evaluation gives
 *
 *   x_t = (…) x_s + (…) D_0 + (…) D_1 + (…) D_2 + (…) ε
 *
 * from latents x_s at an earlier level, the two differ in which latents and which differences these are.
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import { randnTensor, requireGenerators } from "../../numerics/noise.js";
import type { DpmSolverMultistepConfig, DpmSolverSinglestepConfig } from "./dpmSolverConfig.js";
import { convertModelOutput } from "./dpmSolverPrediction.js";
import { scalesOf, updateWeights } from "./dpmSolverWeights.js";
import type { Scales, UpdateWeights } from "./dpmSolverWeights.js";
import type { NoiseLevels } from "./noiseLevels.js";
import type { Denoise, Solver, SolverOptions, SolverStep } from "./solver.js";

type DpmSolverConfig = DpmSolverMultistepConfig | DpmSolverSinglestepConfig;

/** How the current evaluation leads to the next level. */
export interface DpmUpdate {
  readonly order: number;
  /** x_s, and s as an index of the levels */
  readonly from: FloatTensor;
  readonly source: number;
  /** D_0 */
  readonly prediction: Float32Array;
  /** element → what D_1 and D_2 add to it; h is that of the update. Present above order 1 */
  readonly differences?: (weights: UpdateWeights, h: number) => (element: number) => number;
}

/** Chooses the update after each evaluation, in order; it remembers what it needs of those before. */
export type DpmMethod = (
  levels: readonly Scales[],
) => (index: number, latents: FloatTensor, prediction: Float32Array) => DpmUpdate;

/**
 * A solver of this form. The stochastic algorithms draw noise of the latents' shape once per evaluation, after the
 * network ran.
 */
export function dpmSolver(
  name: Solver["name"],
  config: DpmSolverConfig,
  numInferenceSteps: number,
  levels: NoiseLevels,
  method: DpmMethod,
): Solver {
  return {
    name,
    config,
    numInferenceSteps,
    timesteps: levels.timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents, options = {}) => sampleDpmSolver(config, levels, method, denoise, latents, options),
  };
}

async function* sampleDpmSolver(
  config: DpmSolverConfig,
  { timesteps, sigmas }: NoiseLevels,
  method: DpmMethod,
  denoise: Denoise,
  start: FloatTensor,
  { generator }: SolverOptions,
): AsyncGenerator<SolverStep, void, undefined> {
  const { fround } = Math;
  const generators = config.algorithm_type.startsWith("sde-")
    ? requireGenerators(generator, `algorithm_type: ${config.algorithm_type}`)
    : undefined;
  const levels = Array.from(sigmas, scalesOf);
  const updateAfter = method(levels);
  let latents = start;

  for (const [index, timestep] of timesteps.entries()) {
    const output = await denoise(latents, timestep);
    const { prediction, predictedOriginal } = convertModelOutput(
      config,
      config.algorithm_type.endsWith("++"),
      levels[index],
      output.data,
      latents,
    );
    const noise = generators === undefined ? undefined : randnTensor(latents.dims, generators).data;

    const { order, from, source, prediction: d0, differences } = updateAfter(index, latents, prediction);
    const h = fround(levels[index + 1].lambda - levels[source].lambda);
    const weights = updateWeights(config, order, levels[source], levels[index + 1], h);
    const next = from.data.map((x, i) => fround(weights.x * x) + weights.d0 * d0[i]);
    const added = differences?.(weights, h);
    if (added !== undefined) for (let i = 0; i < next.length; i += 1) next[i] += added(i);
    if (noise !== undefined) for (let i = 0; i < next.length; i += 1) next[i] += weights.noise * noise[i];

    latents = { dims: latents.dims, data: next };
    yield { index, timestep, latents, predictedOriginal };
  }
}
