/** The pieces of a session's work: each does a job with the worker, and tells the document how it goes. */
import { InterruptedError } from "../errors.js";
import type { Measurements, Plan } from "../planning/plan.js";
import type { Task } from "./agenda.js";
import type { Comparison, LiveMessage, RunView } from "./document.js";
import type { SamplingSettings } from "./settings.js";
import type { SharedDocument } from "./sharedDocument.js";
import type {
  CachedBy,
  ComparisonResult,
  FinishedRun,
  LiveWorker,
  MeasureInput,
  ModelDescription,
  Progress,
} from "./worker.js";
import { WorkerEndedError } from "./workerEnded.js";

/** What a task works with. */
export interface Workplace {
  readonly worker: LiveWorker;
  readonly shared: SharedDocument;
  /** file of the adjustment that was given */
  readonly adjustment?: string;
}

/** In the order of urgency. */
export const PRIORITY = { describe: 0, measure: 1, compare: 2, strip: 3, judge: 4 } as const;

export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export function describeTask({ worker }: Workplace, onDescribed: (model: ModelDescription) => Promise<void>): Task {
  return {
    name: "describe",
    priority: PRIORITY.describe,
    work: async (signal) => onDescribed(await worker.run("describe", null, { signal })),
  };
}

export function measureTask(
  { worker, shared }: Workplace,
  input: MeasureInput,
  onMeasured: (measurements: Measurements) => void,
): Task {
  return {
    name: "measure",
    priority: PRIORITY.measure,
    async work(signal) {
      try {
        onMeasured(await worker.run("measure", input, { signal, onEvent: progressOf(shared) }));
      } finally {
        shared.tell({ set: { progress: null } });
      }
    },
  };
}

/** What a comparison is made of. */
export interface ComparisonRequest {
  readonly settings: SamplingSettings;
  readonly plan: Plan;
  readonly cached: CachedBy;
  readonly predictedSpeedup: number;
}

export function compareTask(
  { worker, shared }: Workplace,
  { settings, plan, cached: by, predictedSpeedup }: ComparisonRequest,
  onDone: (result: ComparisonResult) => void,
): Task {
  const change = (values: Partial<Comparison>): void => {
    const { comparison } = shared.current;
    if (comparison !== undefined) shared.tell({ set: { comparison: { ...comparison, ...values } } });
  };
  return {
    name: "compare",
    priority: PRIORITY.compare,
    async work(signal) {
      const waiting: RunView = { step: 0, total: 0, final: false };
      const comparison: Comparison = {
        state: "computing",
        stale: false,
        settings,
        plan,
        predictedSpeedup,
        adjusted: by.adjustment !== undefined,
        lit: [],
        plain: waiting,
        cached: waiting,
      };
      shared.tell({ set: { comparison } });
      try {
        const result = await worker.run(
          "compare",
          { settings, cached: by },
          {
            signal,
            onEvent: (event: LiveMessage) => shared.tell(event),
          },
        );
        const total = by.schedule.timesteps.length;
        const view = ({ seconds }: FinishedRun): RunView => ({ step: total, total, final: true, seconds });
        const { plain, cached, plainKept, difference, speedup, psnr } = result;
        onDone(result);
        shared.tell({ set: { pictures: { plain: plain.picture, cached: cached.picture, difference } } });
        change({ state: "finished", plain: view(plain), cached: view(cached), plainKept, speedup, psnr });
      } catch (error) {
        if (error instanceof InterruptedError) change({ state: "stopped", stale: true });
        else change({ state: "failed", problem: textOf(error) });
        if (error instanceof InterruptedError || error instanceof WorkerEndedError) throw error;
      }
    },
  };
}

export function stripTask({ worker, shared }: Workplace, settings: SamplingSettings, block: string): Task {
  return {
    name: "strip",
    priority: PRIORITY.strip,
    async work(signal) {
      const view = { block, settings };
      shared.tell({ set: { strip: { ...view, state: "computing" } } });
      try {
        const strip = await worker.run("strip", { settings, block }, { signal, onEvent: progressOf(shared) });
        shared.tell({ set: { strip: { ...view, state: "finished", strip } } });
      } catch (error) {
        if (error instanceof InterruptedError) shared.tell({ set: { strip: { ...view, state: "stopped" } } });
        else shared.tell({ set: { strip: { ...view, state: "failed", problem: textOf(error) } } });
        if (error instanceof InterruptedError || error instanceof WorkerEndedError) throw error;
      } finally {
        shared.tell({ set: { progress: null } });
      }
    },
  };
}

function progressOf(shared: SharedDocument): (progress: Progress) => void {
  return (progress) => shared.tell({ set: { progress } });
}
