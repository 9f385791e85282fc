/** An evaluation's pictures on disk: `<setting>/00000.png`, …, made in jobs that are interruptible and distributable. */
import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { ArgumentError } from "../../errors.js";
import { readJson, validate, writeJson } from "../../files/json.js";
import { replaceFile } from "../../files/replaceFile.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { batches } from "../../instrument/profile/trajectories.js";
import { createJob } from "../../jobs/job.js";
import type { Job, JobRunner } from "../../jobs/job.js";
import { runKept } from "../../jobs/jobFolder.js";
import { VERSION } from "../../version.js";
import { withoutPlace } from "../armAdjustment.js";
import type { Arm } from "../result.js";
import type { EvaluationSampling } from "./evaluation.js";
import { jobResultSchema, runPictures, sampledPicturesSchema } from "./pictureJob.js";
import type { PictureJob, SampledPictures } from "./pictureJob.js";

export interface MakePicturesOptions {
  readonly folder: string;
  readonly sampling: EvaluationSampling;
  readonly trajectories: readonly Trajectory[];
  readonly arms: readonly Arm[];
  /** Default: this process */
  readonly runner?: JobRunner;
  /** pictures done and to do in all, those found in the folder counted as done */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** File name of a trajectory's picture. */
export function pictureName(trajectory: number): string {
  return `${String(trajectory).padStart(5, "0")}.png`;
}

/**
 * Makes the pictures that the folder lacks, and gives what is kept beside them, setting by setting and batch by batch.
 *
 * @returns setting's name → one entry a batch
 * @throws ArgumentError where the folder holds an evaluation of another sampling; InvalidFileError for damage in it;
 *   InterruptedError on abort; what sampling throws
 */
export async function makePictures(
  pipeline: Pipeline,
  { folder, sampling, trajectories, arms, runner, onProgress, signal }: MakePicturesOptions,
): Promise<ReadonlyMap<string, readonly SampledPictures[]>> {
  await openFolder(folder, sampling);
  const groups = batches(trajectories, sampling.batch);
  // All settings of one batch, each time beginning with the next: a slow spell of the machine does not fall on one.
  const cells = groups.flatMap((group, batch) =>
    arms.map((_, turn) => {
      const arm = arms[(turn + batch) % arms.length];
      const data: PictureJob = { kind: "pictures", sampling, trajectories: group, arm };
      const job = createJob(data, { ...data, arm: withoutPlace(arm) });
      const paths = group.map((_, row) => join(folder, arm.name, pictureName(batch * sampling.batch + row)));
      return { arm, batch, job, paths };
    }),
  );
  const pathsOf = new Map(cells.map(({ job, paths }) => [job.id, paths]));
  const jobs = join(folder, "jobs");
  for (const [id, paths] of pathsOf)
    if (!paths.every((path) => existsSync(path))) await rm(join(jobs, `${id}.json`), { force: true });
  const total = trajectories.length * arms.length;
  const results = await runKept({
    folder: jobs,
    jobs: cells.map(({ job }) => job),
    schema: sampledPicturesSchema,
    runner,
    signal,
    run: (job) => runPictures(pipeline, job, signal),
    store: (job, given) => storePictures(given, job, pathsOf.get(job.id) ?? []),
    onProgress: (done) =>
      onProgress?.(
        done.reduce((sum, { data }) => sum + data.trajectories.length, 0),
        total,
      ),
  });
  return new Map(
    arms.map((arm) => [
      arm.name,
      groups.map((_, batch) => results[cells.findIndex((cell) => cell.arm === arm && cell.batch === batch)]),
    ]),
  );
}

async function storePictures(
  given: unknown,
  { id }: Job<PictureJob>,
  paths: readonly string[],
): Promise<SampledPictures> {
  const { pictures, ...rest } = validate(jobResultSchema, given, { file: `result of job ${id}` });
  for (const [index, path] of paths.entries())
    await replaceFile(path, (temporary) => writeFile(temporary, Buffer.from(pictures[index] ?? "", "base64")));
  return rest;
}

async function openFolder(folder: string, sampling: EvaluationSampling): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "sampling.json");
  const wanted: Readonly<Record<string, unknown>> = { ...sampling, library_version: VERSION };
  if (!existsSync(path)) return writeJson(path, wanted);
  const found = (await readJson(path)) as Readonly<Record<string, unknown>>;
  const key = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].find(
    (each) => JSON.stringify(found[each]) !== JSON.stringify(wanted[each]),
  );
  if (key === undefined) return;
  throw new ArgumentError(
    `${path}: holds an evaluation with ${key} ${JSON.stringify(found[key])}, and this one has ${JSON.stringify(wanted[key])} — give another folder`,
  );
}
