/**
 * Pseudo linear multistep (Liu et al. 2022, arXiv 2202.09778), after a start of pseudo Runge–Kutta steps or,
 * as Stable Diffusion uses it (skip_prk_steps), a first step that is taken twice.
 *
 * Notation (paper → here)
 *   ᾱ_t          alphas, diffusers' alphas_cumprod
 *   e_t          outputs, what the network predicted, newest first
 *   e'           combined
 *   φ(x, e, t, s) transfer, eq. 11
 *
 * Network evaluations: with skip_prk_steps n + 1 for n steps, the second and the third at one timestep; else
 * n + 9, each of the first three steps being four evaluations.
 *
 * Source: diffusers/schedulers/scheduling_pndm.py (0.42).
 */
import { z } from "zod";
import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { alphasCumprod } from "../noiseSchedule.js";
import { roundHalfToEven, spacedTimesteps } from "../timestepSpacing.js";
import { predictNoise, predictOriginal, signalAndNoise } from "./predictedOriginal.js";
import {
  fromConfig,
  noiseScheduleKeys,
  requireFewerSteps,
  requireTrainedTimesteps,
  stepsOffset,
  timestepSpacing,
} from "./schedulerConfig.js";
import type { Denoise, Solver, SolverStep } from "./solver.js";

const pndmConfig = z.object({
  ...noiseScheduleKeys,
  skip_prk_steps: z.boolean().default(false),
  set_alpha_to_one: z.boolean().default(false),
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  timestep_spacing: timestepSpacing.default("leading"),
  steps_offset: stepsOffset,
});

type PndmConfig = z.output<typeof pndmConfig>;

/** Runge–Kutta steps at the start, and the network evaluations of each. */
const RUNGE_KUTTA_STEPS = 3;
const STAGES = 4;

/** The network evaluations of a run: first those of the Runge–Kutta steps, if any, then the multistep ones. */
interface Plan {
  readonly rungeKutta: readonly number[];
  readonly multistep: readonly number[];
  /** training timesteps from one step to the next */
  readonly distance: number;
}

/**
 * PNDM with the meaning of `PNDMScheduler.from_config(schedulerConfig)`.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws ArgumentError if the network was trained on fewer timesteps, or there are too few steps for the Runge–Kutta
 *   start
 */
export function createPndm(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = fromConfig(pndmConfig, schedulerConfig);
  requireFewerSteps(numInferenceSteps, config.num_train_timesteps);
  const plan = planEvaluations(config, numInferenceSteps);
  const timesteps = [...plan.rungeKutta, ...plan.multistep];
  requireTrainedTimesteps(timesteps, config);
  return {
    name: "pndm",
    config,
    numInferenceSteps,
    timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents) => samplePndm(config, plan, denoise, latents),
  };
}

function planEvaluations(config: PndmConfig, count: number): Plan {
  const steps = spacedTimesteps(config, count).map(roundHalfToEven);
  const distance = Math.floor(config.num_train_timesteps / count);
  if (config.skip_prk_steps) {
    const [first, ...rest] = steps;
    return { rungeKutta: [], multistep: [first, ...rest.slice(0, 1), ...rest], distance };
  }
  if (steps.length <= RUNGE_KUTTA_STEPS) {
    throw new ArgumentError(
      `steps: PNDM without skip_prk_steps begins with ${RUNGE_KUTTA_STEPS} Runge–Kutta steps and needs ${RUNGE_KUTTA_STEPS + 1}, got ${count} — ask for more steps, or set skip_prk_steps to true`,
    );
  }
  const half = Math.floor(distance / 2);
  const rungeKutta = steps.slice(0, RUNGE_KUTTA_STEPS).flatMap((timestep, step) => {
    const end = steps[step + 1];
    return [timestep, end + half, end + half, end];
  });
  return { rungeKutta, multistep: steps.slice(RUNGE_KUTTA_STEPS), distance };
}

async function* samplePndm(
  config: PndmConfig,
  { rungeKutta, multistep, distance }: Plan,
  denoise: Denoise,
  start: FloatTensor,
): AsyncGenerator<SolverStep, void, undefined> {
  const alphas = alphasCumprod(config);
  const half = Math.floor(distance / 2);
  /** Latest outputs that the multistep formula combines, newest first. */
  let outputs: Float32Array[] = [];
  let latents = start;
  let index = 0;
  const evaluate = async (
    timestep: number,
  ): Promise<{ output: Float32Array; step: Pick<SolverStep, "index" | "timestep" | "predictedOriginal"> }> => {
    const output = (await denoise(latents, timestep)).data;
    const predictedOriginal = predictOriginal(
      config.prediction_type,
      signalAndNoise(alphaAt(alphas, timestep)),
      output,
      latents,
    );
    return { output, step: { index: index++, timestep, predictedOriginal } };
  };

  // 1. Pseudo Runge–Kutta (eq. 13): two half steps and a whole one from one origin, then the weighted sum of all four.
  for (let first = 0; first < rungeKutta.length; first += STAGES) {
    const origin = latents;
    const stages: Float32Array[] = [];
    for (let stage = 0; stage < STAGES; stage += 1) {
      const timestep = rungeKutta[first + stage];
      const { output, step } = await evaluate(timestep);
      if (stage === 0) outputs = [output, ...outputs];
      stages.push(output);
      const combined = stage === STAGES - 1 ? weighted(stages, RUNGE_KUTTA) : output;
      const target = stage % 2 === 0 ? timestep - half : timestep;
      latents = transfer(config, alphas, origin, combined, rungeKutta[first], target);
      yield { ...step, latents };
    }
  }

  // 2. Pseudo linear multistep (eq. 12), with as many outputs as there are so far.
  let origin = latents;
  for (const [position, timestep] of multistep.entries()) {
    const { output, step } = await evaluate(timestep);
    if (position === 1 && config.skip_prk_steps) {
      // Now that its end is evaluated, the first step is taken again with the average of both outputs.
      latents = transfer(
        config,
        alphas,
        origin,
        weighted([output, outputs[0]], AVERAGE),
        timestep + distance,
        timestep,
      );
    } else {
      outputs = [output, ...outputs.slice(0, 3)];
      origin = latents;
      latents = transfer(
        config,
        alphas,
        origin,
        weighted(outputs, ADAMS_BASHFORTH[outputs.length - 1]),
        timestep,
        timestep - distance,
      );
    }
    yield { ...step, latents };
  }
}

/** Weights of outputs, and what their sum is divided by. */
interface Combination {
  readonly weights: readonly number[];
  readonly divisor: number;
}

const RUNGE_KUTTA: Combination = { weights: [1 / 6, 1 / 3, 1 / 3, 1 / 6], divisor: 1 };
const AVERAGE: Combination = { weights: [1, 1], divisor: 2 };

/** By the number of outputs, newest first. */
const ADAMS_BASHFORTH: readonly Combination[] = [
  { weights: [1], divisor: 1 },
  { weights: [3, -1], divisor: 2 },
  { weights: [23, -16, 5], divisor: 12 },
  { weights: [55, -59, 37, -9], divisor: 24 },
];

/** Rounded to float32 at every operation: from nearly pure noise, {@link transfer} enlarges rounding errors thousandfold. */
function weighted(outputs: readonly Float32Array[], { weights, divisor }: Combination): Float32Array {
  const { fround } = Math;
  return outputs[0].map(
    (_, i) => outputs.reduce((sum, output, k) => fround(sum + fround(fround(weights[k]) * output[i])), 0) / divisor,
  );
}

/** `at`: a timestep of −1, which trailing spacing gives at a few step counts, reads the last entry as it does in diffusers. */
function alphaAt(alphas: Float32Array, timestep: number): number {
  return alphas.at(timestep) ?? NaN;
}

/** The latents at `target` from those at `source`, along what the network predicted (eq. 11; diffusers' `_get_prev_sample`). */
function transfer(
  config: PndmConfig,
  alphas: Float32Array,
  latents: FloatTensor,
  output: Float32Array,
  source: number,
  target: number,
): FloatTensor {
  const { fround, sqrt } = Math;
  const alpha = alphaAt(alphas, source);
  const alphaTarget = target >= 0 ? alphas[target] : config.set_alpha_to_one ? 1 : alphas[0];
  const beta = fround(1 - alpha);
  const noise = predictNoise(config.prediction_type, signalAndNoise(alpha), output, latents.data);
  const latentsScale = fround(sqrt(fround(alphaTarget / alpha)));
  const difference = fround(alphaTarget - alpha);
  const divisor = fround(
    fround(alpha * fround(sqrt(fround(1 - alphaTarget)))) + fround(sqrt(fround(fround(alpha * beta) * alphaTarget))),
  );
  const data = latents.data.map(
    (value, i) => fround(latentsScale * value) - fround(fround(difference * noise[i]) / divisor),
  );
  return { dims: latents.dims, data };
}
