/**
 * Work cut into jobs of plain data. What comes out of a job depends on its data alone, so that it may run
 * here or on another machine, and again where the first attempt was lost.
 */
import { createHash } from "node:crypto";
import { throwIfAborted } from "../interruption.js";
import { encodeData } from "./plainData.js";

export interface Job<Data> {
  /** the same for equal data, or for what it was said to be known by */
  readonly id: string;
  readonly data: Data;
}

/** Jobs to run, and what happens with what they give. */
export interface JobRun<Data, Result> {
  readonly jobs: readonly Job<Data>[];
  /** how one is done in this process */
  readonly run: (data: Data) => Promise<Result>;
  /** Called once for each job when it is done, never twice at a time. */
  readonly onResult: (job: Job<Data>, result: Result) => Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Runs all jobs and returns when each has given its result: in this process ({@link runLocally}) or
 * elsewhere (redisRunner.ts).
 *
 * @throws InterruptedError on abort; what `run` throws
 */
export type JobRunner = <Data, Result>(work: JobRun<Data, Result>) => Promise<void>;

const ID_DIGITS = 32;

/**
 * A job of this data.
 *
 * @param identity what its result depends on, where the data says more: where a file lies. Default: the data
 */
export function createJob<Data>(data: Data, identity: unknown = data): Job<Data> {
  return { id: createHash("sha256").update(encodeData(identity)).digest("hex").slice(0, ID_DIGITS), data };
}

/** One after another, in this process. */
export const runLocally: JobRunner = async ({ jobs, run, onResult, signal }) => {
  for (const job of jobs) {
    throwIfAborted(signal, "the work");
    await onResult(job, await run(job.data));
  }
};
