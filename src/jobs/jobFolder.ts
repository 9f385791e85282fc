/** Results of jobs on disk, one `<id>.json` each, written in one go; jobs with equal data share one. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { InvalidFileError } from "../errors.js";
import { validate } from "../files/json.js";
import { replaceFile } from "../files/replaceFile.js";
import { runLocally } from "./job.js";
import type { Job, JobRun, JobRunner } from "./job.js";
import { decodeData, encodeData } from "./plainData.js";

const FORMAT = "blockcache-job";
const fileSchema = z.object({ format: z.literal(FORMAT), version: z.literal(1), id: z.string(), result: z.unknown() });

export interface KeptJobs<Data, Result> extends Omit<JobRun<Data, unknown>, "onResult"> {
  /** made where it is missing */
  readonly folder: string;
  /** what a result must be */
  readonly schema: z.ZodType<Result>;
  /**
   * Puts large parts of a job's result into files of their own before the result is kept, and returns the rest, which
   * `schema` describes. Default: everything is kept
   */
  readonly store?: (job: Job<Data>, given: unknown) => Promise<unknown>;
  /** Default: this process */
  readonly runner?: JobRunner;
  /** the jobs that have a result, including those found in the folder */
  readonly onProgress?: (done: readonly Job<Data>[]) => void;
}

/**
 * Runs the jobs that have no result in the folder, keeps their results, and returns all results in the order of the
 * jobs. After an interruption the same call runs what is missing.
 *
 * @throws InvalidFileError where a result in the folder is damaged or is not its job's
 */
export async function runKept<Data, Result>({
  jobs,
  folder,
  schema,
  store = async (_, given) => given,
  runner = runLocally,
  onProgress,
  run,
  signal,
}: KeptJobs<Data, Result>): Promise<Result[]> {
  await mkdir(folder, { recursive: true });
  const results = new Map<string, Result>();
  for (const { id } of jobs) {
    const path = join(folder, `${id}.json`);
    if (existsSync(path)) results.set(id, await readResult(path, id, schema));
  }
  const report = (): void => onProgress?.(jobs.filter(({ id }) => results.has(id)));
  report();
  await runner({
    jobs: jobs.filter(({ id }) => !results.has(id)),
    run,
    signal,
    async onResult(job, given) {
      const { id } = job;
      const result = validate(schema, await store(job, given), { file: `result of job ${id}` });
      await replaceFile(join(folder, `${id}.json`), (temporary) =>
        writeFile(temporary, encodeData({ format: FORMAT, version: 1, id, result })),
      );
      results.set(id, result);
      report();
    },
  });
  return jobs.map(({ id }) => results.get(id) as Result);
}

async function readResult<Result>(path: string, id: string, schema: z.ZodType<Result>): Promise<Result> {
  const hint = "delete the file, and its job runs again";
  const expected = "a job's result";
  let found: unknown;
  try {
    found = decodeData(await readFile(path, "utf8"));
  } catch (error) {
    throw new InvalidFileError({
      file: path,
      found: error instanceof Error ? error.message : "no JSON",
      expected,
      hint,
    });
  }
  const file = validate(fileSchema, found, { file: path, hint });
  if (file.id !== id)
    throw new InvalidFileError({
      file: path,
      field: "id",
      found: file.id,
      expected: `${id}, as in the file's name`,
      hint,
    });
  return validate(schema, file.result, { file: path, field: "result", hint });
}
