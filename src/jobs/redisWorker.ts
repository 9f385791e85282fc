import { hostname } from "node:os";
import type { Worker } from "bullmq";
import { stopSignal } from "../interruption.js";
import { decodeData, encodeData } from "./plainData.js";
import { QUEUE_NAME, connectQueue } from "./redisQueue.js";
import type { JobModel, QueuedJob } from "./redisQueue.js";

export interface RedisWorkerOptions {
  readonly url: string;
  /** runs one job */
  readonly run: (model: JobModel, data: unknown) => Promise<unknown>;
  /**
   * Seconds without a sign of life after which another worker takes over this one's job. A worker gives none while it
   * runs a single operator graph, of which the decoder takes longest on a slow machine. Default: 60
   */
  readonly lostAfter?: number;
  /** called when the queue is reached */
  readonly onReady?: () => void;
  /** called as each job begins and ends */
  readonly onJob?: (id: string, state: "begun" | "done" | "failed", reason?: string) => void;
  /** On abort the worker finishes the job in hand and leaves. */
  readonly signal?: AbortSignal;
}

/** A job that has killed this many workers is not given to another. */
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
  // A lost connection is restored by itself, and a job whose lock was lost belongs to another worker now.
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
