/**
 * Fits an adjustment in closed form (the paper's section 3.3 has the set-up, and trains it instead): the student samples
 * by the schedule, with what was fitted so far; the teacher runs without caching on the student's own states. Where a
 * block is reused, its stand-in is fitted to the teacher's C by least squares, before the student goes on: each fit
 * sees what those before it, of earlier evaluations and of earlier blocks, have done.
 */
import { existsSync } from "node:fs";
import { ArgumentError } from "../../errors.js";
import { whileKeptIn } from "../../files/whileLocked.js";
import { throwIfAborted } from "../../interruption.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import { batches, distinctTrajectories } from "../../instrument/profile/trajectories.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { VERSION } from "../../version.js";
import { adjustmentMender } from "../run/adjustmentMender.js";
import { mendedRun } from "../run/cachedRun.js";
import type { Mender } from "../run/mendedSum.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import { scheduleSampling } from "../schedule/scheduleSampling.js";
import type { Schedule } from "../schedule/schedule.js";
import { TERMS, provenanceOf } from "./adjustment.js";
import type { Adjustment, Term } from "./adjustment.js";
import { loadAdjustment, saveAdjustment } from "./adjustmentFile.js";
import { CellFit } from "./cellFit.js";
import type { Growing } from "./cellFit.js";
import { cellSums, foldCount } from "./cellSums.js";
import type { CellSumsOptions, FitHalves } from "./cellSums.js";
import { Lockstep } from "./lockstep.js";
import { regressorsOf } from "./regressors.js";
import { Teacher } from "./teacher.js";
import type { FitTarget } from "./teacher.js";

export interface FitOptions extends Pick<SampleOptions, "height" | "width"> {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise. Default: 0 */
  readonly seeds?: readonly number[];
  /** Default: hold, as in the paper */
  readonly reuse?: ReuseRule;
  /** what is fitted (adjustment.ts). Default: scale and shift, as in the paper */
  readonly terms?: readonly Term[];
  /** Default: balanced */
  readonly halves?: FitHalves;
  /** Default: branch */
  readonly target?: FitTarget;
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

/**
 * Fits an adjustment to a schedule. All trajectories advance together, one evaluation at a time: each keeps its latents
 * and its cache, beside the fit's sums, which do not grow with them. A trajectory that is asked for twice counts once.
 *
 * @throws ArgumentError for options that make no sense, a schedule that does not fit the model, or a `file` that cannot be
 *   written or is of another setting; InUseError where another fit is writing it; InterruptedError on abort, after which
 *   the same call goes on from the last whole evaluation
 */
export async function fitAdjustment(pipeline: Pipeline, schedule: Schedule, options: FitOptions): Promise<Adjustment> {
  return whileKeptIn(options.file, () => fitAll(pipeline, schedule, options));
}

async function fitAll(pipeline: Pipeline, schedule: Schedule, options: FitOptions): Promise<Adjustment> {
  const { prompts: asked, seeds = [0], batch = 4, reuse = hold, file, onProgress, signal } = options;
  const { terms = ["scale", "shift"], halves = "balanced", target = "branch", per = "channel" } = options;
  const { negativePrompt, height, width } = options;
  if (asked.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`batch: expected an integer of 1 or more, found ${batch}`);
  if (terms.length === 0 || terms.some((term) => !TERMS.includes(term)))
    throw new ArgumentError(`terms: expected some of ${TERMS.join(", ")}, found ${terms.join(", ") || "none"}`);
  const trajectories = distinctTrajectories(pipeline, asked, seeds);
  const prompts = [...new Set(trajectories.map(({ prompt }) => prompt))];
  const evaluations = schedule.timesteps.length;
  let growing: Growing = {
    schedule: provenanceOf(schedule),
    reuse: reuse.name,
    halves: halves === "apart" ? 2 : 1,
    fit: {
      method: "closed-form",
      terms: TERMS.filter((term) => terms.includes(term)),
      ...{ halves, target, per },
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
  const folds = foldCount(prompts);
  const foldOf = ({ prompt }: Trajectory): number => prompts.indexOf(prompt) % folds;
  // What the reuse rule makes is always there, also where its scale is not fitted.
  const summedTerms: readonly Term[] = terms.includes("scale") ? terms : ["scale", ...terms];
  const summed: CellSumsOptions = { terms: summedTerms, halves, folds, guidanceScale: schedule.guidance_scale };
  const fit = new CellFit(growing, { terms: summedTerms, fitted: terms, per, folds, batches: groups.length });

  const runBatch = async (members: readonly Trajectory[], index: number): Promise<void> => {
    const teacher = new Teacher(pipeline, schedule, target, signal);
    const mender: Mender = {
      terms,
      async coefficients(block, evaluation, parts) {
        if (evaluation.index >= known) {
          const wanted = await teacher.target(block, parts.input);
          const maps = [...(await regressorsOf(pipeline.device, summedTerms, parts)), wanted];
          fit.add(index, cellSums(maps, summed, block.channels, evaluation, members.map(foldOf)));
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
  // All have ended before an error is passed on: nothing uses the network any more.
  const failed = (await Promise.allSettled(groups.map(runBatch))).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
  throwIfAborted(signal, "fitting");
  return growing;
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
