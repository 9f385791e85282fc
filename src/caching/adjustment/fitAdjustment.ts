/**
 * Fits an adjustment in closed form (the paper's section 3.3 has the set-up, and trains it instead): the student samples
 * by the schedule, with what was fitted so far; the teacher runs without caching on the student's own states. Where a
 * block is reused, its stand-in is fitted to the teacher's C by least squares, before the student goes on: each fit
 * sees what those before it, of earlier evaluations and of earlier blocks, have done.
 */
import { existsSync } from "node:fs";
import { ArgumentError, throwIfAborted } from "../../errors.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import type { SampleOptions, SamplingHook } from "../../diffusion/samplingPlan.js";
import type { Block } from "../../graphs/block.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { release, retain } from "../../engine/ownership.js";
import type { DeviceTensor } from "../../engine/session.js";
import { batches } from "../../instrument/profile/trajectories.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { VERSION } from "../../version.js";
import { adjustmentMender } from "../run/adjustmentMender.js";
import { mendedRun } from "../run/cachedRun.js";
import type { Mender } from "../run/mendedSum.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import { scheduleSampling } from "../schedule/scheduleSampling.js";
import type { Schedule } from "../schedule/schedule.js";
import { IDENTITY, TERMS, provenanceOf } from "./adjustment.js";
import type { Adjustment, FittedCell, Term } from "./adjustment.js";
import { loadAdjustment, saveAdjustment } from "./adjustmentFile.js";
import { fitValidated } from "./crossValidation.js";
import { Lockstep } from "./lockstep.js";
import { addMaps, emptyMoments, mergeMoments, poolChannels } from "./moments.js";
import type { Moments } from "./moments.js";
import { guidedMap, numbers, regressorsOf } from "./regressors.js";

/** Parts that the prompts are cut into; each is held out once. */
const FOLDS = 4;

/** How the guidance halves are fitted. */
export const FIT_HALVES = ["guided", "together", "apart"] as const;
export type FitHalves =
  /** both have the same coefficients, fitted to what guidance makes of the halves: their difference counts most there */
  | "guided"
  /** both have the same coefficients, fitted to both alike */
  | "together"
  /** each has its own */
  | "apart";

export interface FitOptions extends Pick<SampleOptions, "height" | "width"> {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise. Default: 0 */
  readonly seeds?: readonly number[];
  /** Default: hold, as in the paper */
  readonly reuse?: ReuseRule;
  /** what is fitted (adjustment.ts). Default: scale and shift, as in the paper */
  readonly terms?: readonly Term[];
  /** Default: guided */
  readonly halves?: FitHalves;
  /** whether every channel has coefficients of its own, or all of a block the same. Default: channel */
  readonly per?: "channel" | "block";
  readonly negativePrompt?: string;
  /** trajectories sampled together. Default: 4 */
  readonly batch?: number;
  /** Written after each evaluation; a fit of the same setting goes on from it. */
  readonly file?: string;
  /** network evaluations of all trajectories together, done and in all */
  readonly onProgress?: (done: number, total: number) => void;
  /** checked between blocks */
  readonly signal?: AbortSignal;
}

/** An adjustment that grows while it is fitted. */
interface Growing extends Adjustment {
  readonly report: Record<string, FittedCell[]>;
  readonly blocks: Record<string, { channels: number; terms: Partial<Record<Term, Float32Array>> }>;
}

/**
 * Fits an adjustment to a schedule. All trajectories advance together, one evaluation at a time: each keeps its latents
 * and its cache, beside the fit's sums, which do not grow with them.
 *
 * @throws ArgumentError for options that make no sense, a schedule that does not fit the model, or a `file` of another
 *   setting; InterruptedError on abort, after which the same call goes on from the last whole evaluation
 */
export async function fitAdjustment(pipeline: Pipeline, schedule: Schedule, options: FitOptions): Promise<Adjustment> {
  const { prompts, seeds = [0], batch = 4, reuse = hold, file, onProgress, signal } = options;
  const { terms = ["scale", "shift"], halves = "guided", per = "channel", negativePrompt, height, width } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`batch: expected an integer of 1 or more, found ${batch}`);
  if (terms.length === 0 || terms.some((term) => !TERMS.includes(term)))
    throw new ArgumentError(`terms: expected some of ${TERMS.join(", ")}, found ${terms.join(", ") || "none"}`);
  const trajectories = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  const evaluations = schedule.timesteps.length;
  let growing: Growing = {
    schedule: provenanceOf(schedule),
    reuse: reuse.name,
    halves: halves === "apart" ? 2 : 1,
    fit: {
      method: "closed-form",
      terms: TERMS.filter((term) => terms.includes(term)),
      ...{ halves, per },
      trajectories,
      negative_prompt: negativePrompt ?? null,
      size: height === undefined ? null : [height, width],
      evaluations: 0,
    },
    report: {},
    library_version: VERSION,
    blocks: {},
  };
  if (file !== undefined && existsSync(file)) growing = resume(file, growing, await loadAdjustment(file));
  const known = Number(growing.fit.evaluations);
  onProgress?.(0, evaluations);
  if (known === evaluations) return growing;

  const groups = batches(trajectories, batch);
  const lockstep = new Lockstep(groups.length);
  // A prompt's seeds are held out together.
  const foldOf = ({ prompt }: Trajectory): number => prompts.indexOf(prompt) % Math.min(FOLDS, prompts.length);
  const fit = new CellFit(growing, terms, Math.min(FOLDS, prompts.length), groups.length, per === "block");

  const runBatch = async (members: readonly Trajectory[], index: number): Promise<void> => {
    const teacher = new Teacher(pipeline, schedule, signal);
    const mender: Mender = {
      terms,
      async coefficients(block, evaluation, parts) {
        if (evaluation.index >= known) {
          const target = await numbers(pipeline.device, teacher.take(block.id));
          const maps = [...(await regressorsOf(pipeline.device, terms, parts)), target];
          const guides = evaluation.guided && halves === "guided";
          fit.add(
            index,
            block,
            guides ? { ...evaluation, guided: false } : evaluation,
            guides ? maps.map((map) => guidedMap(map, schedule.guidance_scale)) : maps,
            members.map(foldOf),
            guides ? maps : undefined,
          );
          await lockstep.meet(() => fit.finish(block, evaluation));
        }
        return adjustmentMender(growing, terms).coefficients(block, evaluation, parts);
      },
    };
    const hook: SamplingHook = {
      ...mendedRun(schedule, { reuse, mender }),
      async evaluating(inputs, evaluation) {
        if (evaluation.index >= known) await teacher.run(inputs, evaluation);
      },
    };
    try {
      const run = sample(pipeline, {
        ...scheduleSampling(schedule),
        negativePrompt,
        height,
        width,
        prompt: members.map(({ prompt }) => prompt),
        seed: members.map(({ seed }) => seed),
        hooks: [hook],
        signal,
      });
      for await (const step of run) {
        teacher.releaseAll();
        const done = step.index + 1;
        await lockstep.meet(async () => {
          growing = { ...growing, fit: { ...growing.fit, evaluations: Math.max(done, known) } };
          if (file !== undefined && done > known) await saveAdjustment(file, growing);
          onProgress?.(done, evaluations);
        });
      }
    } catch (error) {
      lockstep.fail(error);
      throw error;
    } finally {
      teacher.releaseAll();
    }
  };
  await Promise.all(groups.map(runBatch));
  throwIfAborted(signal, "fitting");
  return growing;
}

/** Runs without caching on the student's states, and keeps C of the blocks that the student reuses. */
class Teacher {
  readonly #pipeline: Pipeline;
  readonly #schedule: Schedule;
  readonly #signal: AbortSignal | undefined;
  readonly #branches = new Map<string, DeviceTensor>();

  constructor(pipeline: Pipeline, schedule: Schedule, signal: AbortSignal | undefined) {
    this.#pipeline = pipeline;
    this.#schedule = schedule;
    this.#signal = signal;
  }

  async run(inputs: Parameters<NonNullable<SamplingHook["evaluating"]>>[0], evaluation: Evaluation): Promise<void> {
    const { blocks } = this.#schedule;
    const isReused = (id: string): boolean => blocks[id]?.includes(evaluation.index) === false;
    if (!Object.keys(blocks).some(isReused)) return;
    await this.#pipeline.network.forward(inputs, {
      evaluation,
      signal: this.#signal,
      observer: {
        wants: ({ id }) => ({ branch: isReused(id), out: false }),
        computed: async ({ id }, { branch }) => {
          this.#branches.set(id, retain(branch));
          return undefined;
        },
      },
    });
  }

  take(id: string): DeviceTensor {
    const branch = this.#branches.get(id);
    if (branch === undefined) throw new TypeError(`${id}: the teacher did not run`);
    return branch;
  }

  releaseAll(): void {
    for (const branch of this.#branches.values()) release(branch);
    this.#branches.clear();
  }
}

/** The fit of one block at one evaluation: sums of each batch and fold, then coefficients. */
class CellFit {
  readonly #growing: Growing;
  readonly #terms: readonly Term[];
  readonly #folds: number;
  readonly #pooled: boolean;
  /** [batch][fold], merged in this order, so that a fit does not hang on which batch came first */
  #sums: Moments[][];

  constructor(growing: Growing, terms: readonly Term[], folds: number, parties: number, pooled: boolean) {
    this.#growing = growing;
    this.#terms = terms;
    this.#folds = folds;
    this.#pooled = pooled;
    this.#sums = Array.from({ length: parties }, () => []);
  }

  /** @param folds that each image of the batch is in */
  add(
    batch: number,
    { channels }: Block,
    { images, guided }: Evaluation,
    maps: Parameters<typeof addMaps>[1],
    folds: readonly number[],
    both?: Parameters<typeof addMaps>[1],
  ): void {
    const { halves } = this.#growing;
    this.#sums[batch] = Array.from({ length: this.#folds }, (_, fold) => {
      const moments = emptyMoments(maps.length, halves * channels);
      const own = folds.flatMap((each, image) => (each === fold ? [image] : []));
      const rows = own.flatMap((image): [number, number][] =>
        guided
          ? [
              [image, 0],
              [images + image, (halves - 1) * channels],
            ]
          : [[image, (halves - 1) * channels]],
      );
      addMaps(moments, maps, { rows: guided ? 2 * images : images, width: channels, firstChannel: new Map(rows) });
      if (both !== undefined) {
        const alpha = Number(process.env.ALPHA ?? 0);
        addMaps(moments, both, {
          rows: 2 * images,
          width: channels,
          firstChannel: new Map(own.map((i) => [i, 0])),
          weight: 16 * alpha,
        });
        addMaps(moments, both, {
          rows: 2 * images,
          width: channels,
          firstChannel: new Map(own.map((i) => [images + i, 0])),
          weight: 25 * alpha,
        });
      }
      return moments;
    });
  }

  /** Writes the coefficients of the block at the evaluation, and what they did. */
  finish({ id, channels }: Block, { index }: Evaluation): void {
    const { halves, blocks, report, schedule } = this.#growing;
    const folds = Array.from({ length: this.#folds }, (_, fold) => mergeMoments(this.#sums.map((each) => each[fold])));
    const { coefficients, ridge, errors } = fitValidated(
      this.#pooled ? folds.map(poolChannels) : folds,
      {
        start: this.#terms.map((term) => IDENTITY[term]),
        fitted: [...this.#terms.keys()],
      },
      process.env.RIDGE?.split(",").map(Number),
    );
    (report[id] ??= []).push({ evaluation: index, ridge, ...errors });
    const width = halves * channels;
    const size = schedule.timesteps.length * width;
    blocks[id] ??= {
      channels,
      terms: Object.fromEntries(this.#terms.map((term) => [term, new Float32Array(size).fill(IDENTITY[term])])),
    };
    const { terms } = blocks[id];
    this.#terms.forEach((term, place) => {
      for (let channel = 0; channel < width; channel++) {
        const from = this.#pooled ? 0 : channel;
        (terms[term] ??= new Float32Array(size))[index * width + channel] =
          coefficients[from * this.#terms.length + place];
      }
    });
  }
}

function resume(file: string, wanted: Growing, found: Adjustment): Growing {
  const stated = ({ schedule, reuse, halves, fit: { evaluations: _, ...fit } }: Adjustment): string =>
    JSON.stringify([schedule.digest, reuse, halves, fit]);
  if (stated(wanted) !== stated(found))
    throw new ArgumentError(
      `${file}: holds an adjustment that was fitted otherwise (another schedule, rule, prompts, or terms) — give another file, or delete this one`,
    );
  return {
    ...found,
    report: Object.fromEntries(Object.entries(found.report).map(([id, cells]) => [id, [...cells]])),
    blocks: { ...found.blocks },
  };
}
