/**
 * Distillation of an adjustment (the paper's section 3.3 and Figure 5): the student samples from noise by the schedule,
 * with the adjustment as it is so far; at each evaluation the teacher runs without caching on the student's state, and
 * the coefficients move against the gradient of how far the two are apart. All other weights are frozen. Gradients run
 * back through one evaluation, block by block, and not into those before it; by the loss on the final latents, through
 * all of them.
 *
 * A quarter of the prompts is held out, and what is given back are the coefficients of the round at whose end the student
 * came nearest to the plain run on these; those of the start where it never came nearer.
 */
import { existsSync } from "node:fs";
import { ArgumentError, UnsupportedError } from "../../errors.js";
import { whileKeptIn } from "../../files/whileLocked.js";
import { throwIfAborted } from "../../interruption.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import { NetworkGradients } from "../../engine/network/networkGradients.js";
import { batches, distinctTrajectories } from "../../instrument/profile/trajectories.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { scheduleSampling } from "../schedule/scheduleSampling.js";
import { requireFitsSchedule, termsOf } from "./adjustment.js";
import type { Adjustment } from "./adjustment.js";
import { loadDistillation, saveDistillation } from "./distillationFile.js";
import type { DistillationProgress } from "./distillationFile.js";
import { DistilledParameters } from "./distilledParameters.js";
import type { ParameterKind } from "./adjustmentParameters.js";
import { HeldOutRuns } from "./heldOutRuns.js";
import type { DistillationLoss } from "./distillationLoss.js";
import { taughtIteration, wholeIteration } from "./distilIteration.js";
import type { Step, Student } from "./distilIteration.js";

/** With fewer prompts, none is held out, and the last coefficients are given back. */
const LEAST_PROMPTS = 4;

/** What one prompt in so many is held out of. */
const HELD_OUT_ONE_IN = 4;

/** In each round every prompt is sampled from other noise: so far are the seeds of one round from those of the next. */
const SEEDS_BETWEEN_ROUNDS = 2 ** 20;

export interface DistilOptions extends Pick<SampleOptions, "height" | "width"> {
  readonly prompts: readonly string[];
  /** Default: 0 */
  readonly seeds?: readonly number[];
  /** Default: hold */
  readonly reuse?: ReuseRule;
  readonly negativePrompt?: string;
  /** trajectories that are sampled together, and make one step at each evaluation. Default: 2 */
  readonly batch?: number;
  /** samplings in all; the batches take turns. Default: 36 */
  readonly iterations?: number;
  /** Default: output */
  readonly loss?: DistillationLoss;
  /** Default: table */
  readonly parameters?: ParameterKind;
  /** Adam's first rate, which falls to 0 as half a cosine. Default: 0.003 */
  readonly rate?: number;
  /** the largest norm of a step's gradients. Default: 1 */
  readonly clip?: number;
  /** Written after each iteration; a distillation of the same setting goes on from it. */
  readonly file?: string;
  /** `loss`: the mean over the evaluations of an iteration */
  readonly onProgress?: (done: number, total: number, loss?: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Trains the coefficients of an adjustment, from where they are: the closed form is a good start. A trajectory that is
 * asked for twice counts once.
 *
 * @throws ArgumentError for options that make no sense, an adjustment for another schedule or rule, or a `file` that cannot
 *   be written or is of another setting; InUseError where another distillation is writing it; UnsupportedError in float16;
 *   InterruptedError on abort, after which the same call goes on from the last whole iteration
 */
export async function distilAdjustment(
  pipeline: Pipeline,
  schedule: Schedule,
  start: Adjustment,
  options: DistilOptions,
): Promise<Adjustment> {
  return whileKeptIn(options.file, () => distil(pipeline, schedule, start, options));
}

async function distil(
  pipeline: Pipeline,
  schedule: Schedule,
  start: Adjustment,
  options: DistilOptions,
): Promise<Adjustment> {
  const { prompts: asked, seeds = [0], reuse = hold, batch = 2, iterations = 36, file, onProgress, signal } = options;
  const { loss = "output", parameters: kind = "table", rate = 0.003, clip = 1 } = options;
  const { negativePrompt, height, width } = options;
  requireFitsSchedule(start, schedule, reuse);
  for (const [name, value] of Object.entries({ batch, iterations }))
    if (!Number.isInteger(value) || value < 1)
      throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  for (const [name, value] of Object.entries({ rate, clip }))
    if (!(value > 0)) throw new ArgumentError(`${name}: expected a number above 0, found ${value}`);
  const trajectories = distinctTrajectories(pipeline, asked, seeds);
  if (trajectories.length === 0) throw new ArgumentError("prompts, seeds: expected at least one of each, found none");
  const prompts = [...new Set(trajectories.map(({ prompt }) => prompt))];

  if (loss === "latents" && termsOf(start).includes("input_change"))
    throw new UnsupportedError(
      "loss latents: the term input_change is not supported (supported: scale, change, earlier_change, shift)",
    );
  const setting = {
    ...{ loss, parameters: kind, rate, clip, iterations, batch, trajectories },
    ...{ negative_prompt: negativePrompt ?? null, size: height === undefined ? null : [height, width] },
    start: start.fit,
  };
  const trained = new DistilledParameters(start, kind, pipeline.folder.unet);
  const progress: DistillationProgress = { losses: [], checks: [] };
  const { losses, checks } = progress;
  if (file !== undefined && existsSync(file)) await loadDistillation(file, setting, schedule, trained, progress);
  onProgress?.(losses.length, iterations);
  const isHeldOut = ({ prompt }: Trajectory): boolean =>
    prompts.length >= LEAST_PROMPTS && prompts.indexOf(prompt) % HELD_OUT_ONE_IN === HELD_OUT_ONE_IN - 1;
  const groups = batches(
    trajectories.filter((each) => !isHeldOut(each)),
    batch,
  );
  const heldOut = trajectories.filter(isHeldOut);
  const runs = new HeldOutRuns(pipeline, schedule, heldOut, { reuse, negativePrompt, height, width, signal });
  const gradients = new NetworkGradients(pipeline.network, () => pipeline.folder.openUNetWeights());
  try {
    if (checks.length === 0) await check();
    while (losses.length < iterations) {
      const members = groups[losses.length % groups.length];
      const round = Math.floor(losses.length / groups.length);
      losses.push(await iterate(members, round, losses.length + 1));
      if (losses.length % groups.length === 0 || losses.length === iterations) await check();
      throwIfAborted(signal, "distilling");
      if (file !== undefined) await saveDistillation(file, setting, schedule, trained, progress);
      onProgress?.(losses.length, iterations, losses[losses.length - 1]);
    }
  } finally {
    await gradients.dispose();
  }
  if (heldOut.length > 0) trained.takeBest();
  trained.refresh();
  return { ...trained.adjustment, fit: { method: "distil", ...setting, losses, checks } };

  /** Keeps the coefficients if they are the best so far on the prompts held out. */
  async function check(): Promise<void> {
    if (heldOut.length === 0) return;
    trained.refresh();
    const distance = await runs.distance(trained.adjustment);
    if (checks.every((earlier) => distance < earlier.distance)) trained.keepBest();
    checks.push({ iteration: losses.length, distance });
  }

  /** One sampling of the student, and a step at each evaluation that reuses. */
  async function iterate(members: readonly Trajectory[], round: number, iteration: number): Promise<number> {
    const student: Student = { pipeline, schedule, reuse, trained, gradients };
    const sampling: SampleOptions = {
      ...scheduleSampling(schedule),
      ...{ negativePrompt, height, width, signal },
      prompt: members.map(({ prompt }) => prompt),
      seed: members.map(({ seed }) => seed + round * SEEDS_BETWEEN_ROUNDS),
    };
    const step: Step = (branches, { regressors, evaluation }) =>
      trained.step(branches, regressors, evaluation, { iteration, iterations, rate, clip });
    return loss === "latents"
      ? wholeIteration(student, sampling, step)
      : taughtIteration(student, loss, sampling, step);
  }
}
