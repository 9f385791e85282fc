/** The explorer in a cell: one page, and its values for the next cells. */
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import { montage } from "../diffusion/montage.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { BlockcacheError, InterruptedError } from "../errors.js";
import { stopSignal } from "../interruption.js";
import { scheduleChart } from "../figures/charts/scheduleChart.js";
import { figurePng } from "../figures/headless/export.js";
import { measurementFolder } from "../live/cacheFolder.js";
import type { Comparison, LiveDocument, LiveMessage } from "../live/document.js";
import { localWorker } from "../live/localWorker.js";
import { commandSchema, parseChecked } from "../live/schemas.js";
import { LiveSession } from "../live/session.js";
import type { SamplingSettings } from "../live/settings.js";
import type { Plan } from "../planning/plan.js";
import type { PlanSettings } from "../planning/planEdit.js";
import { serveExplorer } from "../server/explorerServer.js";
import { pageFrame } from "./pageFrame.js";

export interface ExploreOptions {
  /** pixels of the page. Default: 720 */
  readonly height?: number;
  /** Default: one that is free */
  readonly port?: number;
  /** your own heuristics, for the picker */
  readonly heuristics?: readonly NamedHeuristic[];
  /** changes to the model's own settings at the start */
  readonly settings?: Partial<SamplingSettings>;
  /** files of `blockcache profile` and `blockcache costs`, in place of measuring */
  readonly profile?: string;
  readonly costs?: string;
  /** a schedule to begin with, and its settings */
  readonly schedule?: Schedule;
  /** file of `saveAdjustment` or `blockcache adjust`: scale-shift that the page can turn off and on */
  readonly adjustment?: string;
  /** where measurements are kept. Default: in the user's cache folder */
  readonly cacheFolder?: string;
}

/** What `ui.set` takes: sampling settings, parts of the plan, and options of its heuristic (`delta`) by their names. */
export type ExplorerValues = Partial<SamplingSettings> & PlanSettings & Readonly<Record<string, unknown>>;

/** What changes, and what a listener is given. */
export interface ExplorerEvents {
  readonly schedule: Schedule;
  readonly images: { readonly plain: RgbImage; readonly cached: RgbImage };
  readonly settings: SamplingSettings;
}

export interface Explorer {
  /** of the page, for another window */
  readonly url: string;
  /** the schedule that the page shows; nothing while change and costs are measured for new settings */
  readonly schedule: Schedule | undefined;
  /** the pictures of the last comparison that was finished */
  readonly images: ExplorerEvents["images"] | undefined;
  readonly settings: SamplingSettings;
  readonly plan: Plan;
  /** @returns ends the telling */
  on<Name extends keyof ExplorerEvents>(name: Name, listener: (value: ExplorerEvents[Name]) => void): () => void;
  /** Moves the page: `ui.set({ delta: 0.3, prompt: "rocket" })`. Throws ArgumentError for what is no value of it. */
  set(values: ExplorerValues): void;
  /** Puts a heuristic into the picker, in the place of one of the same name. */
  heuristic(heuristic: NamedHeuristic): void;
  /** Samples as the page shows, and waits for the pictures. Throws InterruptedError on abort, or where a change stopped the run. */
  sample(options?: { readonly signal?: AbortSignal }): Promise<ExplorerEvents["images"]>;
  /** Ends page and session; the pipeline stays. */
  close(): Promise<void>;
}

const SETTLED_MILLISECONDS = 500;
const FRAME_PIXELS = 720;

/**
 * Opens the explorer as the output of a cell. Change and costs are measured first, where they are not known.
 *
 * @throws InterruptedError when the cell is interrupted meanwhile; ArgumentError where the port is taken or files do not fit
 */
export async function explore(pipeline: Pipeline, options: ExploreOptions = {}): Promise<Explorer> {
  const { heuristics = [], settings, profile, costs, schedule, adjustment, height = FRAME_PIXELS } = options;
  const session = new LiveSession(localWorker(pipeline), {
    model: pipeline.folder.path,
    cacheFolder: options.cacheFolder ?? measurementFolder(),
    files: { profile, costs },
    schedule,
    adjustment,
    settings,
  });
  for (const heuristic of heuristics) session.offer(heuristic);
  const server = await serveExplorer(session, { port: options.port, inFrame: true });
  const frame = await pageFrame(server.url, height, "blockcache explore");
  const note = "This page is alive while the kernel runs: run the cell again.";
  await frame.update(undefined, `Measuring how blocks change. ${note}`);

  try {
    await until(session, ({ measured, problem }) => measured !== undefined || problem !== undefined, stopSignal());
    if (session.document.measured === undefined)
      throw new BlockcacheError(session.document.problem ?? "explore failed");
  } catch (error) {
    await server.close();
    await session.close();
    throw error;
  }

  const listeners = new Set<(message: LiveMessage) => void>();
  session.subscribe((message) => {
    for (const listener of listeners) listener(message);
  });
  let drawing: NodeJS.Timeout | undefined;
  const draw = (): void => {
    clearTimeout(drawing);
    // A page that somebody looks at would be loaded anew.
    drawing = setTimeout(() => {
      if (session.pages === 0)
        void stillPicture(session).then(
          (picture) => frame.update(picture, note),
          () => undefined,
        );
    }, SETTLED_MILLISECONDS);
    drawing.unref();
  };
  session.subscribe(draw);
  await frame.update(await stillPicture(session), note);

  return {
    url: server.url,
    get schedule() {
      return session.schedule;
    },
    get images() {
      return session.images;
    },
    get settings() {
      return settingsOf(session.document);
    },
    get plan() {
      return session.document.plan;
    },
    on(name, listener) {
      let before = valueOf(session, name);
      const listen = ({ set = {} }: LiveMessage): void => {
        if (!CHANGED_BY[name].some((part) => part in set)) return;
        const value = valueOf(session, name);
        if (value === undefined || value === before) return;
        before = value;
        listener(value);
      };
      listeners.add(listen);
      return () => listeners.delete(listen);
    },
    set: (values) => set(session, values),
    heuristic: (heuristic) => session.offer(heuristic),
    async sample({ signal } = {}) {
      const either = stopSignal(signal);
      try {
        // New settings are measured first.
        await until(session, ({ measured }) => measured !== undefined, either);
        const under = session.document.comparison;
        if (under?.state !== "computing" || under.stale) session.do({ command: "sample" });
        await until(session, ({ comparison: run, follows }) => isOver(run, follows), either);
      } catch (error) {
        session.do({ command: "stop" });
        throw error;
      }
      const { comparison } = session.document;
      if (comparison?.state === "failed") throw new BlockcacheError(comparison.problem ?? "explore: the run failed");
      if (comparison?.state !== "finished" || session.images === undefined)
        throw new InterruptedError("explore: the run was stopped by a change — sample again");
      return session.images;
    },
    async close() {
      clearTimeout(drawing);
      await server.close();
      await frame.update(await stillPicture(session), note);
      await session.close();
    },
  };
}

/** Waits for the document to be so. Throws InterruptedError on abort. */
function until(session: LiveSession, isSo: (document: LiveDocument) => boolean, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      stop();
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const abort = (): void => end(() => reject(new InterruptedError("explore was interrupted")));
    const check = (): void => {
      if (isSo(session.document)) end(resolve);
    };
    const stop = session.subscribe(check);
    signal?.addEventListener("abort", abort, { once: true });
    check();
  });
}

/** Whether a comparison has come to its end; one that a change stopped is followed by another where changes are followed. */
function isOver(run: Comparison | undefined, follows: boolean): boolean {
  if (run === undefined) return false;
  if (run.state === "stopped") return !follows;
  return run.state === "failed" || (run.state === "finished" && !run.stale);
}

function settingsOf({ settings }: LiveDocument): SamplingSettings {
  if (settings === undefined) throw new TypeError("the session has no settings yet");
  return settings;
}

/** The parts of the document whose change may change a value. */
const CHANGED_BY: Readonly<Record<keyof ExplorerEvents, readonly (keyof LiveDocument)[]>> = {
  schedule: ["plan", "measured", "ownSchedule"],
  images: ["comparison"],
  settings: ["settings"],
};

function valueOf<Name extends keyof ExplorerEvents>(
  session: LiveSession,
  name: Name,
): ExplorerEvents[Name] | undefined {
  const values: { readonly [Key in keyof ExplorerEvents]: () => ExplorerEvents[Key] | undefined } = {
    schedule: () => session.schedule,
    images: () => session.images,
    settings: () => session.document.settings,
  };
  return values[name]();
}

const PLAN_PARTS: readonly string[] = ["heuristic", "kinds", "reuse", "adjusted", "ends", "speedup", "maxAge"];

/** Values go where they belong by their names; what is neither a setting nor a part of the plan is the heuristic's. */
function set(session: LiveSession, values: ExplorerValues): void {
  const settings = settingsOf(session.document);
  const sorted = { settings: {}, plan: {}, options: {} } as Record<string, Record<string, unknown>>;
  for (const [name, value] of Object.entries(values))
    sorted[name in settings ? "settings" : PLAN_PARTS.includes(name) ? "plan" : "options"][name] = value;
  const plan = {
    ...sorted.plan,
    ...(Object.keys(sorted.options).length === 0
      ? {}
      : { options: { ...session.document.plan.options, ...sorted.options } }),
  };
  const commands = [
    ...(Object.keys(plan).length === 0 ? [] : [{ command: "edit", edit: { kind: "set", values: plan } }]),
    ...(Object.keys(sorted.settings).length === 0 ? [] : [{ command: "settings", values: sorted.settings }]),
  ];
  for (const command of commands) session.do(parseChecked(commandSchema, JSON.stringify(command), "set"));
}

/** The pictures where there are some, or else the schedule, as a data URI. */
async function stillPicture(session: LiveSession): Promise<string | undefined> {
  const { images, schedule } = session;
  if (images !== undefined) return toDataUri(montage([images.plain, images.cached], 2, 4));
  if (schedule === undefined) return undefined;
  return `data:image/png;base64,${(await figurePng(scheduleChart(schedule), { scale: 1 })).toString("base64")}`;
}
