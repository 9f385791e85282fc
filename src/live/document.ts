/**
 * What every page of a session shows: one document of plain data. The session makes it from messages, and each page
 * makes the same one from the same messages.
 */
import type { Mending } from "../caching/run/executionPlan.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import type { Plan } from "../planning/plan.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SamplingSettings } from "./settings.js";
import type { BlockStrip, Judgement, ModelDescription, Progress, RunName, WorkerState } from "./worker.js";

export interface LiveDocument {
  readonly worker: WorkerState;
  readonly model?: ModelDescription;
  readonly settings?: SamplingSettings;
  readonly plan: Plan;
  readonly adjustment?: GivenAdjustment;
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
  /** of the last comparison, data URIs: of a run small approximations while it forms, and decoded in full at its end */
  readonly pictures: Pictures;
  readonly strip?: StripView;
  readonly judged: JudgedSet;
  readonly ownHeuristics: readonly OwnHeuristic[];
  /** a user's own reuse rules, as far as a page needs to know them */
  readonly ownRules: readonly Pick<ReuseRule, "name" | "history">[];
  /** what the session finds where a page cannot: the plan's heuristic or its rule is a user's own, or nobody's */
  readonly ownSchedule?: { readonly schedule: Schedule } | { readonly problem: string };
  /** the last thing that went wrong, for people */
  readonly problem?: string;
}

/** The scale-shift adjustment that was given. */
export interface GivenAdjustment {
  readonly file: string;
  /** what a run keeps for it */
  readonly mending: Mending;
  /** why it does not apply to what the plan finds, where it does not */
  readonly problem?: string;
}

export interface KeptSchedule {
  readonly schedule: Schedule;
  readonly reuse: string;
}

export interface Pictures {
  readonly plain?: string;
  readonly cached?: string;
  /** |cached − plain| × 4 */
  readonly difference?: string;
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
  /** by evaluation: the blocks that computed, and those that reused, in the cached run so far */
  readonly lit: readonly Lit[];
  readonly plain: RunView;
  readonly cached: RunView;
  readonly plainKept?: boolean;
  readonly speedup?: number;
  readonly predictedSpeedup: number;
  /** what stands in was mended by the adjustment */
  readonly adjusted?: boolean;
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
  readonly adjusted?: boolean;
  readonly predictedSeconds: number;
  /** network evaluations, known with the first result */
  readonly evaluations?: number;
  /** one a prompt and seed that is done, in their order */
  readonly results: readonly Pick<Judgement, "error" | "seconds">[];
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
  /** the comparison is no longer of what the page shows */
  readonly stale?: true;
  /** a run of a judged point */
  readonly judgement?: { readonly id: string } & Judgement;
  /** the edit that this answers: a page's own id, and its count of edits */
  readonly answers?: { readonly page: string; readonly edit: number };
}

/** The document after a message. */
export function applyMessage(document: LiveDocument, message: LiveMessage): LiveDocument {
  const { set, lit, preview, stale, judgement } = message;
  let next = document;
  if (set !== undefined) {
    const merged: Record<string, unknown> = { ...document, ...set };
    for (const [key, value] of Object.entries(set)) if (value === null) delete merged[key];
    next = merged as unknown as LiveDocument;
  }
  const change = (values: Partial<Comparison>): void => {
    if (next.comparison !== undefined) next = { ...next, comparison: { ...next.comparison, ...values } };
  };
  if (stale) change({ stale });
  if (lit !== undefined) change({ lit: withLights(next.comparison?.lit ?? [], lit) });
  if (preview !== undefined) {
    const { run, picture, ...view } = preview;
    change({ [run]: { ...view, final: false } });
    next = { ...next, pictures: { ...next.pictures, [run]: picture } };
  }
  if (judgement !== undefined) {
    const { id, evaluations, error, seconds } = judgement;
    const points = next.judged.points.map((point) =>
      point.id === id ? { ...point, evaluations, results: [...point.results, { error, seconds }] } : point,
    );
    next = { ...next, judged: { ...next.judged, points } };
  }
  return next;
}

function withLights(
  before: readonly Lit[],
  { evaluation, computed, reused }: Lit & { readonly evaluation: number },
): Lit[] {
  const all = [...before];
  const sofar = all[evaluation];
  all[evaluation] = {
    computed: [...(sofar?.computed ?? []), ...computed],
    reused: [...(sofar?.reused ?? []), ...reused],
  };
  return all;
}
