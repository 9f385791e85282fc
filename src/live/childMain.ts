/** The worker process: opens one pipeline, and does jobs with it until its parent goes. */
import { loadPipeline } from "../diffusion/pipeline.js";
import { InterruptedError } from "../errors.js";
import type { FromChild, ToChild } from "./childProtocol.js";
import { localWorker } from "./localWorker.js";
import type { JobKind, LiveWorker } from "./worker.js";

const aborts = new Map<number, AbortController>();
let worker: LiveWorker | undefined;

function tell(message: FromChild): void {
  process.send?.(message);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message.split("\n")[0] : String(error);
}

async function open({ open: model, options }: Extract<ToChild, { open: string }>): Promise<void> {
  try {
    const pipeline = await loadPipeline(model, {
      ...options,
      onDownload: (bytes, total) => tell({ loading: `downloading, ${Math.round((100 * bytes) / total)} %` }),
      onProgress: (done, total) => tell({ loading: `compiling block ${done} of ${total}` }),
    });
    worker = localWorker(pipeline);
    tell({ ready: true });
  } catch (error) {
    tell({ refused: textOf(error) });
  }
}

async function work(job: number, kind: JobKind, input: unknown): Promise<void> {
  const controller = new AbortController();
  aborts.set(job, controller);
  try {
    if (worker === undefined) throw new TypeError("the pipeline is not open");
    const result = await worker.run(kind, input as never, {
      signal: controller.signal,
      onEvent: (event: unknown) => tell({ job, event }),
    });
    tell({ job, result });
  } catch (error) {
    tell({ job, problem: textOf(error), interrupted: error instanceof InterruptedError });
  } finally {
    aborts.delete(job);
  }
}

process.on("message", (message: ToChild) => {
  if ("open" in message) void open(message);
  else if ("abort" in message) aborts.get(message.abort)?.abort();
  else void work(message.job, message.kind, message.input);
});
process.on("disconnect", () => process.exit(0));
