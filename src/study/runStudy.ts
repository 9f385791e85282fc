/** Many settings on the same trajectories, measured in jobs: interruptible, distributable, resuming. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { cachedRun } from "../caching/run/cachedRun.js";
import { predictSeconds } from "../caching/costs/predictSeconds.js";
import type { Costs } from "../caching/costs/costs.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import { ArgumentError } from "../errors.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { batches } from "../instrument/profile/trajectories.js";
import { createJob } from "../jobs/job.js";
import type { Job, JobRunner } from "../jobs/job.js";
import { runKept } from "../jobs/jobFolder.js";
import { readJson, writeJson } from "../files/json.js";
import { writeSafetensors } from "../files/safetensors.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { VERSION } from "../version.js";
import type { Arm, ArmResult, Distances, StudyResult } from "./result.js";
import { saveStudy } from "./resultFile.js";
import { armSampling, checkDeterministic, resolveSetting } from "./setting.js";
import type { StudySetting, StudySettingOptions } from "./setting.js";
import { armMeasurementSchema, isPlainRun, latentsSchema, runArm, runConverged } from "./studyJobs.js";
import type { ArmJob, ArmMeasurement, ConvergedJob } from "./studyJobs.js";

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
 * (the study's solver with many steps from the same noise) and against the plain run.
 *
 * The folder holds `setting.json`, `jobs/` with a file a job, `converged.safetensors` with the reference's
 * latents [trajectories, channels, height, width], and `study.json`, the result.
 *
 * @throws ArgumentError where an arm does not fit or the folder holds a study of another setting;
 *   InvalidFileError where something in the folder is damaged; InterruptedError on abort
 */
export async function runStudy(pipeline: Pipeline, options: StudyOptions): Promise<StudyResult> {
  const { prompts, seeds, folder, costs, runner, onProgress, signal, arms: given, ...settingOptions } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  const setting = await resolveSetting(pipeline, settingOptions);
  if (costs !== undefined) requireCostsOf(costs, setting.model, setting.latent_size);
  const arms = withPlainRun(given, setting);
  await checkArms(pipeline, setting, arms);
  await openFolder(folder, setting);

  const trajectories = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  const groups = batches(trajectories, setting.batch);
  const planned = new Map<string, readonly number[]>();
  const timestepsOf = ({ solver, steps }: Pick<Arm, "solver" | "steps">): readonly number[] => {
    const key = `${solver} ${steps}`;
    const timesteps =
      planned.get(key) ??
      planSampling(pipeline, { ...armSampling(pipeline, setting, { solver, steps }), prompt: "" }).solver.timesteps;
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
  await writeConverged(join(folder, "converged.safetensors"), converged, trajectories);

  const measured: ArmMeasurement[] = await runKept({
    ...kept,
    // All arms of one batch, then of the next: a slow spell of the machine does not fall on one arm.
    jobs: groups.flatMap((group, index) =>
      arms.map((arm) =>
        createJob<ArmJob>({ kind: "arm", setting, trajectories: group, arm, converged: converged[index] }),
      ),
    ),
    schema: armMeasurementSchema,
    run: (job) => runArm(pipeline, job, signal),
    onProgress: report(trajectories.length * convergedWork, ({ arm }) => armWork(arm)),
  });

  const study: StudyResult = {
    format: "blockcache-study",
    version: 1,
    model: setting.model,
    solver: setting.solver,
    guidance_scale: setting.guidance_scale,
    steps: setting.steps,
    converged_steps: setting.converged_steps,
    timestep_spacing: setting.timestep_spacing,
    batch: setting.batch,
    machine: [...new Set(measured.map(({ machine }) => machine))].join("; "),
    trajectories,
    results: arms.map((arm, index) => ({
      ...armResult(
        arm,
        groups.map((_, group) => measured[group * arms.length + index]),
      ),
      ...(arm.cached === undefined || costs === undefined
        ? {}
        : {
            predictedSpeedup:
              predictSeconds(costs, { timesteps: plainTimesteps, blocks: {} }) /
              predictSeconds(costs, arm.cached.schedule, reuseRule(arm.cached.reuse)),
          }),
    })),
  };
  await saveStudy(join(folder, "study.json"), study);
  return study;
}

function withPlainRun(arms: readonly Arm[], setting: StudySetting): readonly Arm[] {
  const { solver, steps } = setting;
  return arms.some((arm) => isPlainRun(arm, setting)) ? arms : [{ name: `plain ${steps}`, solver, steps }, ...arms];
}

/** Before anything is sampled: names are unique, reuse rules known, schedules fit model, solver and timesteps. */
async function checkArms(pipeline: Pipeline, setting: StudySetting, arms: readonly Arm[]): Promise<void> {
  const names = new Set<string>();
  for (const arm of arms) {
    if (names.has(arm.name)) throw new ArgumentError(`arms: expected names that differ, found "${arm.name}" twice`);
    names.add(arm.name);
    const plan = planSampling(pipeline, { ...armSampling(pipeline, setting, arm), prompt: "" });
    checkDeterministic(`arms: "${arm.name}"`, plan.solver);
    if (arm.cached === undefined) continue;
    if (arm.solver !== setting.solver)
      throw new ArgumentError(
        `arms: "${arm.name}": expected ${setting.solver}, as the study's plain run, found ${arm.solver} — a study of another solver is one of its own`,
      );
    const trial = cachedRun(arm.cached.schedule, { reuse: reuseRule(arm.cached.reuse) });
    await trial.begin?.(pipeline, plan);
    trial.end?.();
  }
}

/** What wrote the folders that do not say it. */
const FIRST_VERSION = "0.1.0";

async function openFolder(folder: string, setting: StudySetting): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "setting.json");
  const wanted: Readonly<Record<string, unknown>> = { ...setting, library_version: VERSION };
  if (!existsSync(path)) return writeJson(path, wanted);
  const found: Readonly<Record<string, unknown>> = {
    library_version: FIRST_VERSION,
    ...((await readJson(path)) as object),
  };
  for (const key of new Set([...Object.keys(wanted), ...Object.keys(found)])) {
    if (JSON.stringify(found[key]) === JSON.stringify(wanted[key])) continue;
    throw new ArgumentError(
      `${path}: holds a study with ${key} ${JSON.stringify(found[key])}, and this one has ${JSON.stringify(wanted[key])} — give another folder`,
    );
  }
}

async function writeConverged(
  path: string,
  batchLatents: readonly FloatTensor[],
  trajectories: readonly Trajectory[],
): Promise<void> {
  const [, ...dims] = batchLatents[0].dims;
  const data = new Float32Array(batchLatents.reduce((sum, each) => sum + each.data.length, 0));
  let offset = 0;
  for (const each of batchLatents) {
    data.set(each.data, offset);
    offset += each.data.length;
  }
  await writeSafetensors(path, new Map([["latents", { dtype: "F32", dims: [trajectories.length, ...dims], data }]]), {
    trajectories: JSON.stringify(trajectories),
  });
}

function armResult(arm: Arm, measured: readonly ArmMeasurement[]): ArmResult {
  const toPlain = measured.flatMap(({ toPlain }) => toPlain ?? []);
  return {
    arm,
    toConverged: joined(measured.map(({ toConverged }) => toConverged)),
    ...(toPlain.length === 0 ? {} : { toPlain: joined(toPlain) }),
    seconds: measured.flatMap(({ seconds }) => seconds),
    plainSeconds: measured.flatMap(({ plainSeconds }) => plainSeconds),
    computedShare: arm.cached === undefined ? 1 : computedShare(arm.cached.schedule),
  };
}

function joined(parts: readonly Distances[]): Distances {
  return {
    latent: parts.flatMap(({ latent }) => latent),
    psnr: parts.flatMap(({ psnr }) => psnr),
    ssim: parts.flatMap(({ ssim }) => ssim),
  };
}
