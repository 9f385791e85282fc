/** A worker in this process: in a notebook the pipeline is the kernel's. */
import type { Pipeline } from "../diffusion/pipeline.js";
import { throwIfAborted } from "../interruption.js";
import { JOBS } from "./jobs/index.js";
import type { LiveWorker } from "./worker.js";

/** Does jobs with a pipeline, one at a time; the pipeline stays the caller's. */
export function localWorker(pipeline: Pipeline): LiveWorker {
  let before: Promise<unknown> = Promise.resolve();
  return {
    run(kind, input, options = {}) {
      const turn = before.then(() => {
        throwIfAborted(options.signal, kind);
        return JOBS[kind](pipeline, input, options);
      });
      before = turn.catch(() => undefined);
      return turn;
    },
    watch: (listener) => listener({ state: "ready" }),
    close: async () => undefined,
  };
}
