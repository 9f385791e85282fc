/** The queue in Redis that coordinators and workers share, through BullMQ, an optional dependency. */
import type * as BullMQ from "bullmq";
import type { Redis as RedisClient } from "ioredis";
import { DeviceUnavailableError } from "../errors.js";
import { VERSION } from "../version.js";

/** Workers of another version do not see these jobs, so that none is done by other code. */
export const QUEUE_NAME = `blockcache-${VERSION}`;

export const DEFAULT_REDIS = "redis://127.0.0.1:6379";

/** The model that a job is for, and where the coordinator has it. */
export interface JobModel {
  /** its folder, or a single file */
  readonly path: string;
  /** for a single file: the model that its configs and tokenizer come from */
  readonly configs?: { readonly path: string; readonly name: string };
  readonly name: string;
  readonly fingerprint: string;
}

/** A job as it is in the queue. */
export interface QueuedJob {
  readonly model: JobModel;
  /** as encodeData writes it */
  readonly data: string;
}

/** Milliseconds between attempts to reach a Redis that has been there before. */
const RECONNECT = 1000;

/**
 * BullMQ, and a connection for it that keeps trying once it has been established.
 *
 * @throws DeviceUnavailableError where BullMQ is not installed or Redis does not answer
 */
export async function connectQueue(url: string): Promise<{ bullmq: typeof BullMQ; connection: RedisClient }> {
  const { bullmq, Redis } = await load();
  let connected = false;
  const connection = new Redis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => (connected ? RECONNECT : null),
  });
  // Without a listener a lost connection would end the process; ioredis reconnects by itself.
  let reason = "no answer";
  connection.on("error", (error) => (reason = error.message));
  try {
    await connection.connect();
  } catch {
    throw new DeviceUnavailableError(
      `redis: ${url} does not answer (${reason}) — start one with \`redis-server\` (Debian: apt install redis-server), or leave out --redis to run here`,
    );
  }
  connected = true;
  return { bullmq, connection };
}

async function load(): Promise<{ bullmq: typeof BullMQ; Redis: typeof RedisClient }> {
  try {
    const [bullmq, ioredis] = await Promise.all([import("bullmq"), import("ioredis")]);
    return { bullmq, Redis: ioredis.Redis };
  } catch (error) {
    throw new DeviceUnavailableError(
      `redis: BullMQ could not be loaded (${error instanceof Error ? error.message.split("\n")[0] : String(error)}) — npm install bullmq ioredis`,
    );
  }
}
