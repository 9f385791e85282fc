import { hostname } from "node:os";
import type { Worker } from "bullmq";
import { stopSignal } from "../interruption.js";
import { decodeData, encodeData } from "./plainData.js";
import { QUEUE_NAME, connectQueue } from "./redisQueue.js";
import type { JobModel, QueuedJob } from "./redisQueue.js";

export interface RedisWorkerOptions {
  readonly url: string;
  /** does one job */
  readonly run: (model: JobModel, data: unknown) => Promise<unknown>;
  /**
   * Seconds without a sign of life after which another worker takes this one's job. A worker gives none while
   * it is inside of one operator graph: the decoder on a slow machine is the longest. Default: 60
   */
  readonly lostAfter?: number;
  /** told when the queue is reached */
  readonly onReady?: () => void;
  /** told of each job begun and ended */
  readonly onJob?: (id: string, state: "begun" | "done" | "failed", reason?: string) => void;
  /** On abort the worker finishes the job in hand and leaves. */
  readonly signal?: AbortSignal;
}

/** A job that has killed so many workers is not given to one more. */
const MOST_DEATHS = 3;

/**
 * Takes jobs from a Redis queue, one at a time, until `signal` aborts.
 *
 * @throws DeviceUnavailableError where BullMQ is not installed or Redis does not answer
 */
export async function serveJobs({
  url,
  run,
  lostAfter = 60,
  onReady,
  onJob,
  signal,
}: RedisWorkerOptions): Promise<void> {
  const { bullmq, connection } = await connectQueue(url);
  const worker: Worker<QueuedJob, string> = new bullmq.Worker<QueuedJob, string>(
    QUEUE_NAME,
    async ({ data: { model, data } }) => encodeData(await run(model, decodeData(data))),
    {
      connection,
      name: `${hostname()} ${process.pid}`,
      lockDuration: 1000 * lostAfter,
      stalledInterval: 500 * lostAfter,
      maxStalledCount: MOST_DEATHS,
    },
  );
  worker.on("active", ({ id }) => onJob?.(String(id), "begun"));
  worker.on("completed", ({ id }) => onJob?.(String(id), "done"));
  worker.on("failed", (job, { message }) => onJob?.(String(job?.id), "failed", message));
  // A lost connection is made anew, and a job whose lock was lost is another worker's now.
  worker.on("error", () => undefined);
  onReady?.();
  try {
    const stop = stopSignal(signal);
    if (stop?.aborted !== true)
      await new Promise((resolve) => stop?.addEventListener("abort", resolve, { once: true }));
  } finally {
    await worker.close();
    await connection.quit();
  }
}
