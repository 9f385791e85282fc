import { ArgumentError } from "../../errors.js";
import { throwIfAborted } from "../../interruption.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { negativePromptOf, planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { sample } from "../../diffusion/sample.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import { samplingRecord } from "../../diffusion/samplingRecord.js";
import type { Block, BlockKind } from "../../graphs/block.js";
import type { ProfileSampling } from "../../instrument/profile/profileChange.js";
import { batches, distinctTrajectories } from "../../instrument/profile/trajectories.js";
import { IDENTITY } from "./adjustment.js";
import type { Term } from "./adjustment.js";
import { cellSums, foldCount } from "./cellSums.js";
import { fitValidated } from "./crossValidation.js";
import { mergeMoments } from "./moments.js";
import type { Moments } from "./moments.js";
import { numbers } from "./regressors.js";
import type { BlockReuseFits, ReuseFits } from "./reuseFits.js";

const FITTED_TERMS: readonly Term[] = ["scale", "shift"];

export interface FitReusesOptions extends Omit<ProfileSampling, "pairWindow"> {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise. Default: 0 */
  readonly seeds?: readonly number[];
  /** Default: transformer, as in the paper */
  readonly kinds?: readonly BlockKind[];
  /** the oldest value that stands in, in evaluations; so many of every block are kept. Default: all */
  readonly window?: number;
  /** trajectories sampled together. Default: 2 */
  readonly batch?: number;
  /** network evaluations of all batches, done and to do */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Fits every reuse of every block along plain runs (reuseFits.ts), from running sums that do not grow with the prompts,
 * by the same rules as `fitAdjustment`: balanced halves, a ridge by held-out prompts, nothing where it does not help.
 *
 * @throws ArgumentError for options that make no sense; InterruptedError on abort
 */
export async function fitReuses(pipeline: Pipeline, options: FitReusesOptions): Promise<ReuseFits> {
  const { prompts, seeds = [0], kinds = ["transformer"], batch = 2, onProgress, signal, ...sampling } = options;
  const plan = planEvaluations(pipeline, sampling);
  const evaluations = plan.solver.timesteps.length;
  const { window = evaluations - 1 } = options;
  for (const [name, value] of Object.entries({ batch, window }))
    if (!Number.isInteger(value) || value < 1)
      throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  const trajectories = distinctTrajectories(pipeline, prompts, seeds);
  if (trajectories.length === 0) throw new ArgumentError("prompts, seeds: expected at least one of each, found none");
  const blocks = pipeline.network.blocks.filter(({ kind }) => kinds.includes(kind));
  if (blocks.length === 0) throw new ArgumentError(`kinds: the model has no block of kind ${kinds.join(", ")}`);

  const folds = foldCount(prompts);
  const { guidanceScale } = plan;
  const summed = { terms: FITTED_TERMS, halves: "balanced", folds, guidanceScale } as const;
  /** block id → [evaluation][age − 1] → the sums of each fold */
  const sums = new Map(
    blocks.map(({ id }) => [id, Array.from({ length: evaluations }, (): (readonly Moments[])[] => [])]),
  );
  const groups = batches(trajectories, batch);
  for (const [group, members] of groups.entries()) {
    const foldOf = members.map(({ prompt }) => prompts.indexOf(prompt) % folds);
    /** newest last */
    const kept = new Map<string, readonly Float32Array[]>(blocks.map(({ id }) => [id, []]));
    const hook: SamplingHook = {
      answer: ({ id }) => (kept.has(id) ? { look: ["branch"] } : "compute"),
      async look({ id, channels }, { branch }, evaluation) {
        const [before, cells] = [kept.get(id), sums.get(id)?.[evaluation.index]];
        if (branch === undefined || before === undefined || cells === undefined) return undefined;
        const now = await numbers(pipeline.device, branch);
        [...before].reverse().forEach((earlier, place) => {
          const added = cellSums([earlier, 1, now], summed, channels, evaluation, foldOf);
          const known = cells.at(place);
          cells[place] = known === undefined ? added : known.map((fold, each) => mergeMoments([fold, added[each]]));
        });
        kept.set(id, [...before, now].slice(-window));
        return undefined;
      },
    };
    const run = sample(pipeline, {
      ...sampling,
      prompt: members.map(({ prompt }) => prompt),
      seed: members.map(({ seed }) => seed),
      hooks: [hook],
      signal,
    });
    for await (const { index } of run) onProgress?.(group * evaluations + index + 1, groups.length * evaluations);
  }
  throwIfAborted(signal, "fitting");
  return {
    setting: {
      ...(await samplingRecord(pipeline, plan)),
      negative_prompt: negativePromptOf(pipeline, sampling.negativePrompt),
      latent_size: plan.latentSize,
    },
    trajectories,
    window,
    blocks: Object.fromEntries(blocks.map((block) => [block.id, fitted(block, sums.get(block.id) ?? [], window)])),
  };
}

function fitted(
  { channels }: Block,
  sums: readonly (readonly (readonly Moments[])[])[],
  window: number,
): BlockReuseFits {
  const cells = sums.length * window;
  const scale = new Float32Array(cells * channels).fill(IDENTITY.scale);
  const shift = new Float32Array(cells * channels);
  const error = new Float64Array(cells);
  sums.forEach((ages, evaluation) =>
    ages.forEach((folds, place) => {
      const cell = evaluation * window + place;
      const { coefficients, errors } = fitValidated(folds, {
        start: FITTED_TERMS.map((term) => IDENTITY[term]),
        fitted: [...FITTED_TERMS.keys()],
      });
      error[cell] = Math.sqrt(errors.held_out);
      for (let channel = 0; channel < channels; channel++) {
        scale[cell * channels + channel] = coefficients[2 * channel];
        shift[cell * channels + channel] = coefficients[2 * channel + 1];
      }
    }),
  );
  return { channels, scale, shift, error };
}
