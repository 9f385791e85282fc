import { setTimeout as delay } from "node:timers/promises";
import type { Queue } from "bullmq";
import { BlockcacheError } from "../errors.js";
import { stopSignal, throwIfAborted } from "../interruption.js";
import type { JobRun, JobRunner } from "./job.js";
import { decodeData, encodeData } from "./plainData.js";
import { QUEUE_NAME, connectQueue } from "./redisQueue.js";
import type { JobModel, QueuedJob } from "./redisQueue.js";

export interface RedisRunnerOptions {
  readonly url: string;
  readonly model: JobModel;
  /** called with the number of workers whenever it changes */
  readonly onWorkers?: (workers: number) => void;
}

/** Milliseconds between polls for finished jobs. */
const LOOK = 250;
/** Polls between two checks whether all jobs are still in the queue, and how many workers there are. */
const LOOKS_A_CHECK = 20;
/** Milliseconds that leaving the queue may take: commands to a Redis that is down wait for it without end. */
const LEAVING = 5000;
/** Seconds that Redis keeps a result that no coordinator has taken. */
const KEPT = 7 * 24 * 3600;

/**
 * Hands jobs to the workers on a Redis queue (`blockcache worker`), and takes each result once. The queue is polled
 * rather than listened to, so that nothing is missed while a connection is down.
 *
 * A job's id comes from its data, so that one that is already queued, running or done is not queued again. A job whose
 * worker died goes back to the queue when its lock runs out (redisWorker.ts); one that Redis lost is added again. On
 * abort, jobs that no worker has begun leave the queue, unless Redis is down.
 */
export function redisRunner({ url, model, onWorkers }: RedisRunnerOptions): JobRunner {
  return async <Data, Result>({ jobs, onResult, signal }: JobRun<Data, Result>): Promise<void> => {
    if (jobs.length === 0) return;
    const { bullmq, connection } = await connectQueue(url);
    const queue: Queue<QueuedJob, string> = new bullmq.Queue(QUEUE_NAME, { connection });
    const pending = new Map(jobs.map((job) => [job.id, job]));
    let workers: number | undefined;
    let leaving: NodeJS.Timeout | undefined;
    // Disconnected, all commands fail that are under way.
    const leaveSoon = (): void => void (leaving ??= setTimeout(() => connection.disconnect(), LEAVING));
    const stop = stopSignal(signal);
    stop?.addEventListener("abort", leaveSoon, { once: true });
    try {
      for (const id of pending.keys()) {
        const before = await queue.getJob(id);
        if (await before?.isFailed()) await before?.remove();
      }
      for (let look = 0; pending.size > 0; look++) {
        throwIfAborted(signal, "waiting for the workers");
        if (look % LOOKS_A_CHECK === 0) {
          // BullMQ ignores a job whose id is already in the queue.
          await queue.addBulk(
            [...pending.values()].map(({ id, data }) => ({
              name: "job",
              data: { model, data: encodeData(data) },
              opts: { jobId: id, removeOnComplete: { age: KEPT }, removeOnFail: { age: KEPT } },
            })),
          );
          const count = await queue.getWorkersCount();
          if (count !== workers) onWorkers?.(count);
          workers = count;
        }
        for (const id of await queue.getRanges(["completed", "failed"])) {
          const job = pending.get(id);
          const finished = job && (await queue.getJob(id));
          if (job === undefined || finished === undefined) continue;
          if (await finished.isFailed())
            throw new BlockcacheError(`job ${id} failed on a worker: ${finished.failedReason}`);
          await onResult(job, decodeData(finished.returnvalue) as Result);
          pending.delete(id);
          await finished.remove();
        }
        if (pending.size > 0) await delay(LOOK);
      }
    } catch (error) {
      throwIfAborted(signal, "waiting for the workers");
      throw error;
    } finally {
      stop?.removeEventListener("abort", leaveSoon);
      leaveSoon();
      // What Redis cannot be told stays in the queue.
      await leave(queue, pending.keys()).catch(() => undefined);
      clearTimeout(leaving);
      connection.disconnect();
    }
  };
}

async function leave(queue: Queue<QueuedJob, string>, ids: Iterable<string>): Promise<void> {
  for (const id of ids) await queue.remove(id);
  await queue.close();
}
