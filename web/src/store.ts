/**
 * The page's one store. Commands go to the session; what it answers is the truth, and until it answers the page shows
 * its own edits on top. Everything else is computed from that.
 */
import { batch, computed, effect, signal } from "@preact/signals";
import {
  BlockcacheError,
  editPlan,
  isOfLibrary,
  measurementsFromJson,
  planSchedule,
  predictPlan,
  reuseRule,
} from "blockcache/planning";
import type {
  Costs,
  Measurements,
  Mending,
  Plan,
  PlanEdit,
  PlanSettings,
  Prediction,
  Schedule,
} from "blockcache/planning";
import { applyMessage } from "../../src/live/document.js";
import type { LiveDocument, LiveMessage } from "../../src/live/document.js";
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
const shown = computed(() => {
  if (confirmed.value === undefined) return undefined;
  return pending.value.reduce((document, { apply }) => apply(document), confirmed.value);
});

/** A part of what is shown: what looks at it is drawn anew only when it changes. */
function part<Value>(pick: (document: LiveDocument) => Value): { readonly value: Value | undefined } {
  return computed(() => shown.value && pick(shown.value));
}

/**
 * A part that is edited here. What comes back from the session is equal to what the page showed at once: the same
 * object then stays, so that nothing is planned or drawn anew.
 */
function edited<Value>(pick: (document: LiveDocument) => Value): { readonly value: Value | undefined } {
  let last: { readonly value: Value | undefined; readonly text: string | undefined } = {
    value: undefined,
    text: undefined,
  };
  return computed(() => {
    const value = shown.value && pick(shown.value);
    if (value === last.value) return value;
    const text = JSON.stringify(value) as string | undefined;
    if (text !== last.text) last = { value, text };
    return last.value;
  });
}

export const plan = edited((document) => document.plan);
export const settings = edited((document) => document.settings);
export const other = edited((document) => document.other);
export const model = part((document) => document.model);
export const worker = part((document) => document.worker);
export const problem = part((document) => document.problem);
export const progress = part((document) => document.progress);
export const history = part((document) => document.history);
export const follows = part((document) => document.follows);
export const comparison = part((document) => document.comparison);
export const runState = part((document) => document.comparison?.state);
export const pictures = part((document) => document.pictures);
export const strip = part((document) => document.strip);
export const judged = part((document) => document.judged);
export const adjustment = part((document) => document.adjustment);
export const ownHeuristics = part((document) => document.ownHeuristics);
export const ownRules = part((document) => document.ownRules);
const ownSchedule = part((document) => document.ownSchedule);
/** key of the measurements for what is shown */
export const measured = part((document) => document.measured);

const received = signal<{ readonly key: string; readonly measurements: Measurements } | undefined>(undefined);
/** Change and costs for the settings shown; nothing while they are measured. */
export const measurements = computed(() =>
  received.value !== undefined && received.value.key === measured.value ? received.value.measurements : undefined,
);
/** The last change and costs there were, to draw curves and shares from while others are measured. */
export const lastMeasurements = computed(() => received.value?.measurements);

interface Attempt<Value> {
  readonly value?: Value;
  readonly problem?: string;
}

/** What a plan asks for may not be there: a target that nothing reaches, a rule that is not the library's. */
function attempt<Value>(work: () => Value): Attempt<Value> {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof BlockcacheError) return { problem: error.message };
    throw error;
  }
}

const planned = computed((): Attempt<Schedule> => {
  const [known, current] = [measurements.value, plan.value];
  if (known === undefined || current === undefined) return {};
  if (isOfLibrary(current)) return attempt(() => planSchedule(current, known));
  // A user's own heuristics and rules are in the session, not here.
  const own = ownSchedule.value;
  return own !== undefined && "schedule" in own ? { value: own.schedule } : { problem: own?.problem };
});
/** The schedule of the plan. */
export const schedule = computed(() => planned.value.value);

function predict(costs: Costs, found: Schedule, reuse: string, mending?: Mending): Attempt<Prediction> {
  const own = ownRules.value?.find(({ name }) => name === reuse);
  return attempt(() => predictPlan(costs, found, own ?? reuseRule(reuse), mending));
}

const predicted = computed((): Attempt<Prediction> => {
  const [known, found, current, given] = [measurements.value, schedule.value, plan.value, adjustment.value];
  if (known === undefined || found === undefined || current === undefined) return {};
  const mends = current.adjusted === true && given?.problem === undefined;
  return predict(known.costs, found, current.reuse, mends ? given?.mending : undefined);
});
export const prediction = computed(() => predicted.value.value);

/** Why there is no schedule, or no prediction of it. */
export const planProblem = computed(() => planned.value.problem ?? predicted.value.problem);

export const otherPrediction = computed((): Prediction | undefined => {
  const [known, kept] = [measurements.value, other.value];
  if (known === undefined || kept === undefined || !fits(kept.schedule)) return undefined;
  return predict(known.costs, kept.schedule, kept.reuse).value;
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

/** Takes in what the session says. */
function take(messages: readonly LiveMessage[]): void {
  const answered = messages.flatMap(({ answers }) => (answers?.page === PAGE ? [answers.edit] : []));
  const last = Math.max(-1, ...answered);
  batch(() => {
    confirmed.value = messages.reduce<LiveDocument | undefined>(
      (document, message) => document && applyMessage(document, message),
      confirmed.value,
    );
    pending.value = pending.value.filter(({ edit: each }) => each > last);
  });
}

/** Joins the session. */
export function start(): void {
  let lastTaken = -1;
  listen({
    onState(state) {
      connection.value = state;
    },
    onDocument(document) {
      documents++;
      batch(() => {
        confirmed.value = document;
        pending.value = pending.value.filter((each) => each.edit > lastTaken);
      });
    },
    onTaken(taken) {
      lastTaken = taken;
      // A whole document that came meanwhile may have taken the place of the answer.
      pending.value = pending.value.filter((each) => each.edit > taken || each.documents === documents);
    },
    onMessages: take,
    onRefused(refused, problem) {
      pending.value = pending.value.filter((each) => each.edit !== refused);
      refusal.value = problem;
    },
  });
  effect(() => {
    const key = measured.value;
    if (key === undefined || received.peek()?.key === key) return;
    void fetchMeasurements(key).then((text) => {
      if (text !== undefined) received.value = { key, measurements: measurementsFromJson(text) };
    });
  });
}
