/**
 * Work cut into jobs of plain data. A job's result depends only on its data, so that it may run here or on another
 * machine, and again where the first attempt was lost.
 */
import { createHash } from "node:crypto";
import { throwIfAborted } from "../interruption.js";
import { encodeData } from "./plainData.js";

export interface Job<Data> {
  /** the same for equal data, or for an equal `identity` where one was given (createJob) */
  readonly id: string;
  readonly data: Data;
}

/** Jobs to run, and what happens with their results. */
export interface JobRun<Data, Result> {
  readonly jobs: readonly Job<Data>[];
  /** how one job is run in this process */
  readonly run: (data: Data) => Promise<Result>;
  /** Called once per job when it is done; never two calls at a time. */
  readonly onResult: (job: Job<Data>, result: Result) => Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Runs all jobs and returns when each has given its result: in this process ({@link runLocally}) or
 * elsewhere (redisRunner.ts).
 *
 * @throws InterruptedError on abort; whatever `run` throws
 */
export type JobRunner = <Data, Result>(work: JobRun<Data, Result>) => Promise<void>;

const ID_DIGITS = 32;

/**
 * A job of this data.
 *
 * @param identity what its result depends on, where the data says more than that, such as where a file is. Default: the
 *   data
 */
export function createJob<Data>(data: Data, identity: unknown = data): Job<Data> {
  return { id: createHash("sha256").update(encodeData(identity)).digest("hex").slice(0, ID_DIGITS), data };
}

/** Runs jobs one after another, in this process. */
export const runLocally: JobRunner = async ({ jobs, run, onResult, signal }) => {
  for (const job of jobs) {
    throwIfAborted(signal, "the work");
    await onResult(job, await run(job.data));
  }
};
