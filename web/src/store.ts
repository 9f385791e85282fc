/**
 * The page's one store. Commands go to the session; what it answers is the truth, and until it answers the page shows
 * its own edits on top. Everything else is computed from that.
 */
import { computed, effect, signal } from "@preact/signals";
import {
  BlockcacheError,
  HEURISTICS,
  editPlan,
  measurementsFromJson,
  planSchedule,
  predictPlan,
} from "blockcache/planning";
import type { Measurements, Plan, PlanEdit, PlanSettings, Prediction, Schedule } from "blockcache/planning";
import { applyMessage } from "../../src/live/document.js";
import type { LiveDocument } from "../../src/live/document.js";
import type { SessionCommand } from "../../src/live/schemas.js";
import type { SamplingSettings } from "../../src/live/settings.js";
import { PAGE, fetchMeasurements, listen, send } from "./connection.js";
import type { ConnectionState } from "./connection.js";

interface PendingEdit {
  readonly edit: number;
  /** whole documents that had come when it was made */
  readonly documents: number;
  apply(document: LiveDocument): LiveDocument;
}

export const connection = signal<ConnectionState>("connecting");
const confirmed = signal<LiveDocument | undefined>(undefined);
const pending = signal<readonly PendingEdit[]>([]);
/** what the session refused, for people */
export const refusal = signal<string | undefined>(undefined);

/** What the page shows. */
export const shown = computed(() => {
  if (confirmed.value === undefined) return undefined;
  return pending.value.reduce((document, { apply }) => apply(document), confirmed.value);
});

/** A part of what is shown, that changes only when the part does. */
function part<Value>(pick: (document: LiveDocument) => Value): { readonly value: Value | undefined } {
  return computed(() => shown.value && pick(shown.value));
}

export const plan = part((document) => document.plan);
export const settings = part((document) => document.settings);
export const model = part((document) => document.model);
export const comparison = part((document) => document.comparison);
export const other = part((document) => document.other);
export const judged = part((document) => document.judged);

const received = signal<{ readonly key: string; readonly measurements: Measurements } | undefined>(undefined);
/** Change and costs for the settings shown; nothing while they are measured. */
export const measurements = computed(() =>
  received.value !== undefined && received.value.key === shown.value?.measured
    ? received.value.measurements
    : undefined,
);
/** The last change and costs there were, to draw curves and shares from while others are measured. */
export const lastMeasurements = computed(() => received.value?.measurements);

function isOwn({ heuristic, imported }: Plan): boolean {
  return imported === undefined && !HEURISTICS.some(({ name }) => name === heuristic);
}

/** The schedule of the plan, or why there is none. */
export const planned = computed((): { readonly schedule?: Schedule; readonly problem?: string } => {
  const [known, current] = [measurements.value, plan.value];
  if (known === undefined || current === undefined) return {};
  // A user's own heuristic is in the session, not here.
  if (isOwn(current)) return shown.value?.ownSchedule ?? {};
  try {
    return { schedule: planSchedule(current, known) };
  } catch (error) {
    if (error instanceof BlockcacheError) return { problem: error.message };
    throw error;
  }
});
export const schedule = computed(() => planned.value.schedule);

export const prediction = computed((): Prediction | undefined => {
  const [known, found, current] = [measurements.value, schedule.value, plan.value];
  return known && found && current && predictPlan(known.costs, found, current.reuse);
});

export const otherPrediction = computed((): Prediction | undefined => {
  const [known, kept] = [measurements.value, other.value];
  if (known === undefined || kept === undefined || !fits(kept.schedule)) return undefined;
  return predictPlan(known.costs, kept.schedule, kept.reuse);
});

/** Whether a schedule is for the evaluations that are shown. */
export function fits(candidate: Schedule): boolean {
  return candidate.timesteps.join() === schedule.value?.timesteps.join();
}

/** What the page itself has in hand: which block is looked at. */
export const selectedBlock = signal<string | undefined>(undefined);
export const hoveredBlock = signal<string | undefined>(undefined);

/** How many whole documents have come: the first, and one after each long break. */
let documents = 0;

function command(asked: SessionCommand, apply?: PendingEdit["apply"]): void {
  refusal.value = undefined;
  const edit = send(asked);
  if (apply !== undefined) pending.value = [...pending.value, { edit, documents, apply }];
}

/** Edits the plan at once here, and in the session. @param stroke edits of one stroke are taken back together */
export function edit(change: PlanEdit, stroke?: string): void {
  command({ command: "edit", edit: change as (SessionCommand & { command: "edit" })["edit"], stroke }, (document) => ({
    ...document,
    // A user's own heuristic is found by the session.
    plan: editPlan(document.plan, change),
  }));
}

export function setPlan(values: PlanSettings, stroke?: string): void {
  edit({ kind: "set", values }, stroke);
}

export function restore(restored: Plan): void {
  edit({ kind: "restore", plan: restored });
}

export function setSettings(values: Partial<SamplingSettings>): void {
  command({ command: "settings", values }, (document) =>
    document.settings === undefined ? document : { ...document, settings: { ...document.settings, ...values } },
  );
}

export function ask(asked: Exclude<SessionCommand, { command: "edit" | "settings" }>): void {
  command(asked);
}

let strokes = 0;
/** A name for the edits of one drag. */
export function newStroke(): string {
  return `${PAGE}/${strokes++}`;
}

/** Joins the session. */
export function start(): void {
  listen({
    onState(state) {
      connection.value = state;
    },
    onDocument(document) {
      documents++;
      confirmed.value = document;
    },
    onTaken(taken) {
      // A whole document that came meanwhile may have taken the place of the answer.
      pending.value = pending.value.filter((each) => each.edit > taken || each.documents === documents);
    },
    onMessage(message) {
      const { answers } = message;
      if (confirmed.value !== undefined) confirmed.value = applyMessage(confirmed.value, message);
      if (answers?.page === PAGE) pending.value = pending.value.filter((each) => each.edit > answers.edit);
    },
    onRefused(refused, problem) {
      pending.value = pending.value.filter((each) => each.edit !== refused);
      refusal.value = problem;
    },
  });
  effect(() => {
    const key = shown.value?.measured;
    if (key === undefined || received.peek()?.key === key) return;
    void fetchMeasurements(key).then((text) => {
      if (text !== undefined) received.value = { key, measurements: measurementsFromJson(text) };
    });
  });
}
