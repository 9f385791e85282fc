/** Many settings on the same trajectories, measured in jobs: interruptible, distributable, resuming. */
import { join } from "node:path";
import { historyOf, termsOf } from "../caching/adjustment/adjustment.js";
import { predictSeconds } from "../caching/costs/predictSeconds.js";
import type { Costs } from "../caching/costs/costs.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planEvaluations } from "../diffusion/plannedEvaluations.js";
import { ArgumentError } from "../errors.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { batches, distinctTrajectories } from "../instrument/profile/trajectories.js";
import { createJob } from "../jobs/job.js";
import type { Job, JobRunner } from "../jobs/job.js";
import { runKept } from "../jobs/jobFolder.js";
import { whileFilling } from "../files/whileLocked.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { openAdjustment, withoutPlace } from "./armAdjustment.js";
import { prepareArms } from "./prepareArms.js";
import type { Arm, ArmResult, Distances, FailedArm, StudyResult } from "./result.js";
import { STUDY_FILE, saveStudy } from "./resultFile.js";
import { armSampling, resolveSetting } from "./setting.js";
import type { StudySetting, StudySettingOptions } from "./setting.js";
import { openFolder, writeConverged } from "./studyFolder.js";
import {
  armMeasurementSchema,
  isFailure,
  isMeasurement,
  isPlainRun,
  latentsSchema,
  runArm,
  runConverged,
} from "./studyJobs.js";
import type { ArmFailure, ArmJob, ArmMeasurement, ConvergedJob } from "./studyJobs.js";

export interface StudyOptions extends StudySettingOptions {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise */
  readonly seeds: readonly number[];
  /** the plain run of the study's own solver and steps is added where it is missing */
  readonly arms: readonly Arm[];
  /** Where everything is kept; made where it is missing. An interrupted study goes on, one with more arms grows. */
  readonly folder: string;
  /** predicts speed-ups; of this model and latent size */
  readonly costs?: Costs;
  /** where the jobs run. Default: this process */
  readonly runner?: JobRunner;
  /** network evaluations of one image done and to do in all, those found in the folder counted as done */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Samples every arm on prompts × seeds, and judges it against the near-converged solution of the same ODE
 * (the study's solver with many steps from the same noise) and against the plain run. A trajectory that is asked for
 * twice counts once, and arms that are the same schedule are one; an arm that gives no finite numbers is among the
 * failed ones.
 *
 * The folder holds `setting.json`, `jobs/` with a file a job, `converged.safetensors` with the reference's
 * latents [trajectories, channels, height, width], and `study.json`, the result.
 *
 * @throws ArgumentError where an arm does not fit, the folder cannot be written or holds a study of another setting;
 *   InUseError where another study is filling the folder; InvalidFileError where something in the folder is damaged;
 *   NotFiniteError where the plain run or the reference gives no finite numbers; InterruptedError on abort
 */
export async function runStudy(pipeline: Pipeline, options: StudyOptions): Promise<StudyResult> {
  const { prompts, seeds, arms: given, folder, costs, runner, onProgress, signal, ...settingOptions } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  const setting = await resolveSetting(pipeline, settingOptions);
  if (costs !== undefined) requireCostsOf(costs, setting.model, setting.latent_size);
  const arms = await prepareArms(pipeline, setting, given);
  const trajectories = distinctTrajectories(pipeline, prompts, seeds);
  const repeated = prompts.length * seeds.length - trajectories.length;
  return whileFilling(folder, STUDY_FILE, async () => {
    await openFolder(folder, setting);
    const measured = await measure(pipeline, setting, arms, trajectories, { folder, runner, onProgress, signal });
    const timestepsOf = (arm: Pick<Arm, "solver" | "steps">): readonly number[] =>
      planEvaluations(pipeline, armSampling(pipeline, setting, arm)).solver.timesteps;
    const study: StudyResult = {
      ...studyHead(setting, measured),
      trajectories,
      ...(repeated === 0 ? {} : { repeated }),
      ...resultsOf(arms, measured, await speedupsBy(costs, timestepsOf(setting), arms), timestepsOf),
    };
    await saveStudy(join(folder, STUDY_FILE), study);
    return study;
  });
}

/** What every arm gave on every batch of the trajectories: an entry an arm, an entry a batch. */
async function measure(
  pipeline: Pipeline,
  setting: StudySetting,
  arms: readonly Arm[],
  trajectories: readonly Trajectory[],
  { folder, runner, onProgress, signal }: Pick<StudyOptions, "folder" | "runner" | "onProgress" | "signal">,
): Promise<readonly (readonly (ArmMeasurement | ArmFailure)[])[]> {
  const groups = batches(trajectories, setting.batch);
  const planned = new Map<string, readonly number[]>();
  const timestepsOf = ({ solver, steps }: Pick<Arm, "solver" | "steps">): readonly number[] => {
    const key = `${solver} ${steps}`;
    const timesteps =
      planned.get(key) ?? planEvaluations(pipeline, armSampling(pipeline, setting, { solver, steps })).solver.timesteps;
    planned.set(key, timesteps);
    return timesteps;
  };
  const plainTimesteps = timestepsOf(setting);
  // Network evaluations of one image: a step of Heun has two.
  const convergedWork = timestepsOf({ solver: setting.solver, steps: setting.converged_steps }).length;
  const armWork = (arm: Arm): number =>
    setting.repeats * (plainTimesteps.length + (isPlainRun(arm, setting) ? 0 : timestepsOf(arm).length));
  const total = trajectories.length * (convergedWork + arms.reduce((sum, arm) => sum + armWork(arm), 0));
  const report =
    <Data extends { readonly trajectories: readonly Trajectory[] }>(before: number, work: (data: Data) => number) =>
    (done: readonly Job<Data>[]): void =>
      onProgress?.(before + done.reduce((sum, { data }) => sum + data.trajectories.length * work(data), 0), total);
  const kept = { folder: join(folder, "jobs"), runner, signal };

  const converged: FloatTensor[] = await runKept({
    ...kept,
    jobs: groups.map((group) => createJob<ConvergedJob>({ kind: "converged", setting, trajectories: group })),
    schema: latentsSchema,
    run: (job) => runConverged(pipeline, job, signal),
    onProgress: report(0, () => convergedWork),
  });
  await writeConverged(folder, converged, trajectories);

  const measured = await runKept({
    ...kept,
    // All arms of one batch, then of the next: a slow spell of the machine does not fall on one arm.
    jobs: groups.flatMap((group, index) =>
      arms.map((each) => {
        const arm = alone(each);
        const job: ArmJob = { kind: "arm", setting, trajectories: group, arm, converged: converged[index] };
        return createJob(job, { ...job, arm: withoutPlace(arm) });
      }),
    ),
    schema: armMeasurementSchema,
    run: (job) => runArm(pipeline, job, signal),
    onProgress: report(trajectories.length * convergedWork, ({ arm }) => armWork(arm)),
  });
  return arms.map((_, index) => groups.map((_, group) => measured[group * arms.length + index]));
}

/** Without what does not change what is sampled: the same job for it as before there were others of the same schedule. */
function alone({ also: _, cached, ...arm }: Arm): Arm {
  if (cached === undefined) return arm;
  const { askedSpeedups: __, ...rest } = cached;
  return { ...arm, cached: rest };
}

function studyHead(
  setting: StudySetting,
  measured: readonly (readonly (ArmMeasurement | ArmFailure)[])[],
): Omit<StudyResult, "trajectories" | "results"> {
  return {
    format: "blockcache-study",
    version: 1,
    model: setting.model,
    solver: setting.solver,
    guidance_scale: setting.guidance_scale,
    steps: setting.steps,
    converged_steps: setting.converged_steps,
    timestep_spacing: setting.timestep_spacing,
    batch: setting.batch,
    machine: [...new Set(measured.flat().map(({ machine }) => machine))].join("; "),
  };
}

/** The study's plain seconds ÷ an arm's, which may have other steps; nothing without costs, or for a plain arm. */
async function speedupsBy(
  costs: Costs | undefined,
  plainTimesteps: readonly number[],
  arms: readonly Arm[],
): Promise<ReadonlyMap<Arm, number>> {
  const speedups = new Map<Arm, number>();
  if (costs === undefined) return speedups;
  const plain = predictSeconds(costs, { timesteps: plainTimesteps, blocks: {} });
  for (const arm of arms) {
    if (arm.cached === undefined) continue;
    const { schedule, reuse, adjustment } = arm.cached;
    const terms = adjustment === undefined ? [] : termsOf(await openAdjustment(adjustment));
    const history = historyOf(reuseRule(reuse), terms);
    speedups.set(arm, plain / predictSeconds(costs, schedule, { history }));
  }
  return speedups;
}

/** An arm fails as a whole where it fails on one batch. */
function resultsOf(
  arms: readonly Arm[],
  measured: readonly (readonly (ArmMeasurement | ArmFailure)[])[],
  predicted: ReadonlyMap<Arm, number>,
  timestepsOf: (arm: Arm) => readonly number[],
): Pick<StudyResult, "results" | "failed"> {
  const results: ArmResult[] = [];
  const failed: FailedArm[] = [];
  for (const [index, arm] of arms.entries()) {
    const failure = measured[index].find(isFailure);
    if (failure === undefined)
      results.push({
        ...armResult(arm, measured[index].filter(isMeasurement), predicted.get(arm)),
        evaluations: timestepsOf(arm).length,
      });
    else failed.push({ arm, reason: failure.failed });
  }
  return { results, ...(failed.length === 0 ? {} : { failed }) };
}

function armResult(arm: Arm, measured: readonly ArmMeasurement[], predictedSpeedup: number | undefined): ArmResult {
  const toPlain = measured.flatMap(({ toPlain }) => toPlain ?? []);
  return {
    arm,
    toConverged: joined(measured.map(({ toConverged }) => toConverged)),
    ...(toPlain.length === 0 ? {} : { toPlain: joined(toPlain) }),
    seconds: measured.flatMap(({ seconds }) => seconds),
    plainSeconds: measured.flatMap(({ plainSeconds }) => plainSeconds),
    computedShare: arm.cached === undefined ? 1 : computedShare(arm.cached.schedule),
    ...(predictedSpeedup === undefined ? {} : { predictedSpeedup }),
  };
}

function joined(parts: readonly Distances[]): Distances {
  return {
    latent: parts.flatMap(({ latent }) => latent),
    psnr: parts.flatMap(({ psnr }) => psnr),
    ssim: parts.flatMap(({ ssim }) => ssim),
  };
}
