/**
 * UniPC, a predictor and a corrector of the same form (Zhao et al. 2023, arXiv 2302.04867). The corrector repeats a
 * step once the network has been evaluated at its end, and costs no evaluation of its own.
 *
 * Notation (paper → here); s is the level a step starts from, t the one it ends at
 *   x, x̃^c       latents, corrected
 *   h, hh        h = λ_t − λ_s, and −h for data prediction
 *   r_m          ratios         (λ of an earlier level − λ_s) ÷ h, and 1 for the end of the step
 *   D_m          differences of predictions from that at s
 *   B(h)         b              h or e^h − 1 (solver_type)
 *   a_m          predictorWeights, correctorWeights: eq. 7, solutions of R a = φ / B
 *
 * Source: diffusers/schedulers/scheduling_unipc_multistep.py (0.42).
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import type { UniPcConfig } from "./dpmSolverConfig.js";
import { resolveUniPcConfig } from "./dpmSolverConfig.js";
import { convertModelOutput } from "./dpmSolverPrediction.js";
import { scalesOf } from "./dpmSolverWeights.js";
import type { Scales } from "./dpmSolverWeights.js";
import { solveLinear } from "../../numerics/linearSystem.js";
import { noiseLevels } from "./noiseLevels.js";
import type { NoiseLevels } from "./noiseLevels.js";
import type { Denoise, Solver, SolverStep } from "./solver.js";

/**
 * UniPC with the meaning of `UniPCMultistepScheduler.from_config(schedulerConfig)`.
 *
 * @throws InvalidFileError if the config has a value that the class does not take
 * @throws UnsupportedError if it asks for something this library does not implement
 * @throws ArgumentError if this many steps cannot be told apart among the training timesteps
 */
export function createUniPc(schedulerConfig: Readonly<Record<string, unknown>>, numInferenceSteps: number): Solver {
  const config = resolveUniPcConfig("unipc", schedulerConfig);
  const levels = noiseLevels(config, numInferenceSteps, { rounds: true, end: "respaced" });
  return {
    name: "unipc",
    config,
    numInferenceSteps,
    timesteps: levels.timesteps,
    initNoiseSigma: 1,
    sample: (denoise, latents) => sampleUniPc(config, levels, denoise, latents),
  };
}

/** A step from one level to the next, as predictor and corrector both take it. */
interface Step {
  /** x_s after correction */
  readonly from: FloatTensor;
  /** predictions at s and at earlier levels, newest first, as many as the order */
  readonly predictions: readonly Float32Array[];
  readonly weights: StepWeights;
}

async function* sampleUniPc(
  config: UniPcConfig,
  { timesteps, sigmas }: NoiseLevels,
  denoise: Denoise,
  start: FloatTensor,
): AsyncGenerator<SolverStep, void, undefined> {
  const levels = Array.from(sigmas, scalesOf);
  // Unlike the DPM-Solvers, it ignores thresholding where it integrates the noise.
  const conversion = { ...config, thresholding: config.thresholding && config.predict_x0 };
  let latents = start;
  /** Predictions of this evaluation and before, newest first. */
  let predictions: Float32Array[] = [];
  let last: Step | undefined;

  for (const [index, timestep] of timesteps.entries()) {
    const output = await denoise(latents, timestep);
    const { prediction, predictedOriginal } = convertModelOutput(
      conversion,
      config.predict_x0,
      levels[index],
      output.data,
      latents,
    );

    // 1. The step that led here, corrected by what the network says here.
    const corrected =
      last === undefined || config.disable_corrector.includes(index - 1) ? latents : correct(last, prediction);
    predictions = [prediction, ...predictions.slice(0, config.solver_order - 1)];

    // 2. The next step, of an order that the predictions so far allow, lower towards the end.
    const remaining = config.lower_order_final ? timesteps.length - index : Infinity;
    const order = Math.min(config.solver_order, remaining, index + 1);
    const weights = stepWeights(config, levels, index, order);
    last = { from: corrected, predictions: predictions.slice(0, order), weights };
    latents = predict(last);
    yield { index, timestep, latents, predictedOriginal };
  }
}

/** What a step multiplies its terms by. */
interface StepWeights {
  readonly x: number;
  /** of the prediction at s */
  readonly first: number;
  /** of all differences, B(h) included */
  readonly differences: number;
  readonly ratios: readonly number[];
  readonly predictorWeights: readonly number[];
  readonly correctorWeights: readonly number[];
}

/** Rounded to float32 at every operation, as torch does: for small h the φ are differences of nearly equal numbers. */
function stepWeights(
  { predict_x0, solver_type }: UniPcConfig,
  levels: readonly Scales[],
  index: number,
  order: number,
): StepWeights {
  const { fround, expm1 } = Math;
  const source = levels[index];
  const target = levels[index + 1];
  const h = fround(target.lambda - source.lambda);
  const hh = predict_x0 ? -h : h;
  const phi1 = fround(expm1(hh));
  const b = solver_type === "bh1" ? hh : phi1;

  const ratios: number[] = [];
  for (let earlier = 1; earlier < order; earlier += 1)
    ratios.push(fround(fround(levels[index - earlier].lambda - source.lambda) / h));
  ratios.push(1);

  const rows: number[][] = [];
  const right: number[] = [];
  let phi = fround(fround(phi1 / hh) - 1);
  let factorial = 1;
  for (let power = 0; power < order; power += 1) {
    rows.push(ratios.map((ratio) => fround(ratio ** power)));
    right.push(fround(fround(phi * factorial) / b));
    factorial *= power + 2;
    phi = fround(fround(phi / hh) - fround(1 / factorial));
  }
  const scale = predict_x0 ? target.alpha : target.sigma;
  return {
    x: predict_x0 ? fround(target.sigma / source.sigma) : fround(target.alpha / source.alpha),
    first: fround(scale * phi1),
    differences: fround(scale * b),
    ratios,
    // For orders 1 and 2 diffusers takes the paper's closed forms.
    predictorWeights:
      order === 1
        ? []
        : order === 2
          ? [0.5]
          : solveLinear(
              rows.slice(0, -1).map((row) => row.slice(0, -1)),
              right.slice(0, -1),
            ),
    correctorWeights: order === 1 ? [0.5] : solveLinear(rows, right),
  };
}

/** UniP-p (algorithm 2): x_t from x_s, the prediction there, and differences to earlier ones. */
function predict({ from, predictions, weights }: Step): FloatTensor {
  return combine(from, weights, predictions, weights.predictorWeights, undefined);
}

/** UniC-p (algorithm 1): the same with the prediction at t too. */
function correct({ from, predictions, weights }: Step, atEnd: Float32Array): FloatTensor {
  return combine(from, weights, predictions, weights.correctorWeights, atEnd);
}

function combine(
  { dims, data: x }: FloatTensor,
  { x: latentsScale, first, differences, ratios }: StepWeights,
  [newest, ...earlier]: readonly Float32Array[],
  termWeights: readonly number[],
  atEnd: Float32Array | undefined,
): FloatTensor {
  const { fround } = Math;
  const data = x.map((value, i) => {
    let sum = 0;
    earlier.forEach((prediction, k) => (sum += termWeights[k] * fround(fround(prediction[i] - newest[i]) / ratios[k])));
    if (atEnd !== undefined) sum += termWeights[earlier.length] * fround(atEnd[i] - newest[i]);
    return fround(fround(latentsScale * value) - fround(first * newest[i])) - fround(differences * fround(sum));
  });
  return { dims, data };
}
