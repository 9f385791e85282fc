/**
 * What every page of a session shows: one document of plain data. The session makes it from messages, and each page
 * makes the same one from the same messages.
 */
import type { Plan } from "../planning/plan.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SamplingSettings } from "./settings.js";
import type { BlockStrip, ModelDescription, Progress, RunName, WorkerState } from "./worker.js";

export interface LiveDocument {
  readonly worker: WorkerState;
  readonly model?: ModelDescription;
  readonly settings?: SamplingSettings;
  readonly plan: Plan;
  /** a second schedule to compare with */
  readonly other?: KeptSchedule;
  /** each change is sampled at once */
  readonly follows: boolean;
  /** how many edits can be taken back, and done again */
  readonly history: { readonly undo: number; readonly redo: number };
  /** key of the measurements for these settings; absent while they are not measured */
  readonly measured?: string;
  /** of what is being worked out, sampling apart */
  readonly progress?: Progress;
  readonly comparison?: Comparison;
  readonly strip?: StripView;
  readonly judged: JudgedSet;
  readonly ownHeuristics: readonly OwnHeuristic[];
  /** what a user's own heuristic finds, where the plan names one */
  readonly ownSchedule?: { readonly schedule: Schedule } | { readonly problem: string };
  /** the last thing that went wrong, for people */
  readonly problem?: string;
}

export interface KeptSchedule {
  readonly schedule: Schedule;
  readonly reuse: string;
}

/** `stopped`: by a change or by hand; `failed`: `problem` says why */
export type RunState = "computing" | "finished" | "stopped" | "failed";

/** A cached run beside the plain one. */
export interface Comparison {
  readonly state: RunState;
  /** what it was sampled with is not what the page shows now */
  readonly stale: boolean;
  readonly settings: SamplingSettings;
  readonly plan: Plan;
  readonly schedule: Schedule;
  /** by evaluation: the blocks that computed, and those that reused, in the cached run so far */
  readonly lit: readonly Lit[];
  readonly plain: RunView;
  readonly cached: RunView;
  readonly plainKept?: boolean;
  /** |cached − plain| × 4, a data URI */
  readonly difference?: string;
  readonly speedup?: number;
  readonly predictedSpeedup: number;
  /** dB; null where the pictures are equal */
  readonly psnr?: number | null;
  readonly problem?: string;
}

export interface Lit {
  readonly computed: readonly string[];
  readonly reused: readonly string[];
}

export interface RunView {
  readonly step: number;
  readonly total: number;
  /** data URI: a small approximation while it forms, decoded in full at the end */
  readonly picture?: string;
  readonly final: boolean;
  readonly seconds?: number;
}

export interface StripView {
  readonly block: string;
  readonly state: RunState;
  readonly settings: SamplingSettings;
  readonly strip?: BlockStrip;
  readonly problem?: string;
}

/** A set of prompts and seeds, and what was judged on it. */
export interface JudgedSet {
  readonly prompts: readonly string[];
  readonly seeds: readonly number[];
  /** steps of the near-converged solution */
  readonly convergedSteps: number;
  readonly runs: boolean;
  readonly points: readonly JudgedPoint[];
}

export interface JudgedPoint {
  readonly id: string;
  readonly label: string;
  readonly settings: SamplingSettings;
  /** of a cached point; a plain one has none */
  readonly plan?: Plan;
  readonly schedule?: Schedule;
  readonly predictedSeconds: number;
  /** network evaluations, known with the first result */
  readonly evaluations?: number;
  /** one a prompt and seed that is done, in their order */
  readonly results: readonly { readonly error: number; readonly seconds: number }[];
  readonly problem?: string;
}

/** A user's own heuristic, as the picker shows it. */
export interface OwnHeuristic {
  readonly name: string;
  readonly parameter: string;
  readonly values: readonly number[];
  readonly bounds: readonly [number, number | null];
  readonly integer: boolean;
  /** goes up by one each time that it is loaded anew */
  readonly version: number;
  readonly problem?: string;
}

/** A change of the document, as the session tells it. */
export interface LiveMessage {
  /** parts that are replaced; null takes one away */
  readonly set?: { readonly [Key in keyof LiveDocument]?: LiveDocument[Key] | null };
  readonly lit?: Lit & { readonly evaluation: number };
  readonly preview?: { readonly run: RunName; readonly step: number; readonly total: number; readonly picture: string };
  /** the edit that this answers: a page's own id, and its count of edits */
  readonly answers?: { readonly page: string; readonly edit: number };
}

/** The document after a message. */
export function applyMessage(document: LiveDocument, { set, lit, preview }: LiveMessage): LiveDocument {
  let next = document;
  if (set !== undefined) {
    const merged: Record<string, unknown> = { ...document, ...set };
    for (const [key, value] of Object.entries(set)) if (value === null) delete merged[key];
    next = merged as unknown as LiveDocument;
  }
  const { comparison } = next;
  if (comparison === undefined) return next;
  if (lit !== undefined) {
    const before = comparison.lit[lit.evaluation];
    const all = [...comparison.lit];
    all[lit.evaluation] = {
      computed: [...(before?.computed ?? []), ...lit.computed],
      reused: [...(before?.reused ?? []), ...lit.reused],
    };
    next = { ...next, comparison: { ...comparison, lit: all } };
  }
  if (preview !== undefined) {
    const { run, ...view } = preview;
    next = { ...next, comparison: { ...(next.comparison ?? comparison), [run]: { ...view, final: false } } };
  }
  return next;
}
