/** A worker in a process of its own: however long a block takes, whoever started it stays awake. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadOptions } from "../diffusion/pipeline.js";
import { BlockcacheError, InterruptedError } from "../errors.js";
import { throwIfAborted } from "../interruption.js";
import type { FromChild, ToChild } from "./childProtocol.js";
import type { LiveWorker, WorkerState } from "./worker.js";
import { WorkerEndedError } from "./workerEnded.js";

/** A worker that ends so soon after it was ready has a fault that comes again: the wait before the next start doubles. */
const STEADY_MILLISECONDS = 30_000;
const FIRST_WAIT_MILLISECONDS = 250;
const LONGEST_WAIT_MILLISECONDS = 30_000;

interface OpenJob {
  readonly onEvent?: (event: never) => void;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Starts a process that opens a model; ended by itself or by someone else, it is started again. A model that cannot be
 * opened is told as the state `failed`.
 */
export function childWorker(
  model: string,
  options: Pick<LoadOptions, "device" | "precision" | "tf32" | "threads" | "config"> = {},
): LiveWorker & { readonly processId: () => number | undefined } {
  const listeners: ((state: WorkerState) => void)[] = [];
  const jobs = new Map<number, OpenJob>();
  let state: WorkerState = { state: "starting", message: "starting" };
  let child: ChildProcess | undefined;
  let count = 0;
  let wait = FIRST_WAIT_MILLISECONDS;
  let restart: NodeJS.Timeout | undefined;
  /** until the worker is ready */
  let waiting: ToChild[] = [];
  let closed = false;

  const become = (next: WorkerState): void => {
    state = next;
    for (const listener of listeners) listener(state);
  };
  const tell = (message: ToChild): void => {
    // Between its end and our notice of it there is nobody to tell.
    if (child?.connected) child.send(message, () => undefined);
  };
  const failAll = (error: Error): void => {
    for (const { reject } of jobs.values()) reject(error);
    jobs.clear();
    waiting = [];
  };

  const start = (): void => {
    const started = fork(fileURLToPath(new URL("./childMain.js", import.meta.url)), [], {
      serialization: "advanced",
      execArgv: [],
      // What libraries print is not our output.
      stdio: ["ignore", 2, 2, "ipc"],
    });
    child = started;
    let readyAt: number | undefined;
    started.on("message", (message: FromChild) => {
      if ("loading" in message)
        become({ state: state.state === "restarting" ? "restarting" : "starting", message: message.loading });
      else if ("ready" in message) {
        readyAt = performance.now();
        become({ state: "ready" });
        for (const each of waiting.splice(0)) tell(each);
      } else if ("refused" in message) {
        closed = true;
        become({ state: "failed", message: message.refused });
        failAll(new BlockcacheError(message.refused));
        started.kill();
      } else answer(message);
    });
    started.on("exit", (code, signal) => {
      if (closed) return;
      const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
      wait =
        readyAt !== undefined && performance.now() - readyAt > STEADY_MILLISECONDS
          ? FIRST_WAIT_MILLISECONDS
          : Math.min(2 * wait, LONGEST_WAIT_MILLISECONDS);
      become({ state: "restarting", message: `the worker ended ${how}, and is started again` });
      failAll(new WorkerEndedError(`the worker ended ${how}`));
      restart = setTimeout(start, wait);
    });
    tell({ open: model, options });
  };

  const answer = (message: Extract<FromChild, { job: number }>): void => {
    const job = jobs.get(message.job);
    if (job === undefined) return;
    if ("event" in message) {
      job.onEvent?.(message.event as never);
      return;
    }
    jobs.delete(message.job);
    if ("result" in message) job.resolve(message.result as never);
    else job.reject(new (message.interrupted ? InterruptedError : BlockcacheError)(message.problem));
  };

  start();
  return {
    processId: () => child?.pid,
    async run(kind, input, { signal, onEvent } = {}) {
      throwIfAborted(signal, kind);
      if (state.state === "failed") throw new BlockcacheError(state.message);
      const job = count++;
      const abort = (): void => {
        if (state.state === "ready") return tell({ abort: job });
        jobs.get(job)?.reject(new InterruptedError(`${kind} was interrupted`));
        jobs.delete(job);
        waiting = waiting.filter((each) => !("job" in each && each.job === job));
      };
      signal?.addEventListener("abort", abort, { once: true });
      try {
        return await new Promise((resolve, reject) => {
          jobs.set(job, { onEvent, resolve, reject });
          if (state.state === "ready") tell({ job, kind, input });
          else waiting.push({ job, kind, input });
        });
      } finally {
        signal?.removeEventListener("abort", abort);
      }
    },
    watch(listener) {
      listeners.push(listener);
      listener(state);
    },
    async close() {
      closed = true;
      clearTimeout(restart);
      failAll(new InterruptedError("the worker was closed"));
      const ended = child;
      if (ended === undefined || ended.exitCode !== null || ended.signalCode !== null) return;
      await new Promise<void>((resolve) => {
        ended.once("exit", () => resolve());
        ended.kill();
      });
    },
  };
}
