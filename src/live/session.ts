/** A session: the document that its pages and cells show, and the work behind it. */
import { requireFitsSchedule } from "../caching/adjustment/adjustment.js";
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import { loadAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { mendingOf } from "../caching/run/adjustmentMender.js";
import { ownReuseRules, reuseRule, watchReuseRules } from "../caching/run/reuseRule.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import { HEURISTICS } from "../caching/heuristics/registry.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { RgbImage } from "../diffusion/image.js";
import { ArgumentError } from "../errors.js";
import { PAPER_PRESET } from "../instrument/profile/paperPreset.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { measurementsJson } from "../planning/plainData.js";
import { FIRST_PLAN, isOfLibrary, planSchedule, predictPlan } from "../planning/plan.js";
import type { Measurements, Plan } from "../planning/plan.js";
import { editPlan } from "../planning/planEdit.js";
import { Agenda } from "./agenda.js";
import type { JudgedPoint, LiveDocument, LiveMessage } from "./document.js";
import { History } from "./history.js";
import { judgeTask, planPoint, plainPoints, valuePoints } from "./judging.js";
import { recipes } from "./recipes.js";
import type { Recipes } from "./recipes.js";
import type { SessionCommand, SessionFile } from "./schemas.js";
import { reopened, sessionFile } from "./sessionFile.js";
import { measurementKey } from "./settings.js";
import { settingsOfSchedule } from "./settings.js";
import type { SamplingSettings } from "./settings.js";
import { SharedDocument } from "./sharedDocument.js";
import { compareTask, describeTask, measureTask, stripTask, textOf } from "./tasks.js";
import type { Workplace } from "./tasks.js";
import type { CachedBy, LiveWorker, MeasuredFiles, ModelDescription } from "./worker.js";
import { WorkerEndedError } from "./workerEnded.js";

export interface SessionOptions {
  /** what `loadPipeline` and the command line open the model by, for code that is copied */
  readonly model: string;
  /** where measurements are kept */
  readonly cacheFolder: string;
  /** measurements in files, for the first settings: a profile's own, where there is one */
  readonly files?: MeasuredFiles;
  /** a schedule to begin with, and its settings */
  readonly schedule?: Schedule;
  /** file of a scale-shift adjustment, which is on at the start */
  readonly adjustment?: string;
  /** changes to the model's own settings at the start */
  readonly settings?: Partial<SamplingSettings>;
  /** work goes on for so long after the last page has gone. Default: 10,000 */
  readonly graceMilliseconds?: number;
}

const GRACE_MILLISECONDS = 10_000;
/** Prompts of the set to judge on: a start. */
const JUDGED_PROMPTS = 2;
/** Steps of the near-converged solution: so many times those of the run. */
const CONVERGED_FACTOR = 5;

export class LiveSession {
  readonly #place: Workplace;
  readonly #options: SessionOptions;
  readonly #agenda: Agenda;
  readonly #history = new History<Plan>();
  readonly #own = new Map<string, NamedHeuristic>();
  #measurements: (Measurements & { readonly key: string }) | undefined;
  /** the last schedule that was found, and what from */
  #found:
    | {
        readonly plan: Plan;
        readonly measurements: Measurements;
        readonly heuristic: NamedHeuristic | undefined;
        readonly schedule: Schedule;
      }
    | undefined;
  #images: { readonly plain: RgbImage; readonly cached: RgbImage } | undefined;
  #adjustment: Adjustment | undefined;
  /** key of the settings that the measured files are for */
  #fileKey: string | undefined;
  #pages = 0;
  #grace: NodeJS.Timeout | undefined;
  #points = 0;
  readonly #stopWatching: () => void;
  /** what the worker's end cut off, to be done again once */
  #cutOff = new Set<string>();

  constructor(worker: LiveWorker, options: SessionOptions) {
    this.#options = options;
    const { schedule, adjustment } = options;
    const first: LiveDocument = {
      worker: { state: "starting", message: "starting" },
      plan: schedule === undefined ? FIRST_PLAN : editPlan(FIRST_PLAN, { kind: "import", schedule }),
      follows: true,
      history: { undo: 0, redo: 0 },
      pictures: {},
      judged: {
        prompts: PAPER_PRESET.prompts.slice(0, JUDGED_PROMPTS),
        seeds: [0],
        convergedSteps: 20 * CONVERGED_FACTOR,
        runs: false,
        points: [],
      },
      ownHeuristics: [],
      ownRules: knownRules(),
    };
    this.#place = { worker, shared: new SharedDocument(first), adjustment };
    this.#agenda = new Agenda((error) => this.#fault(error));
    this.#stopWatching = watchReuseRules(() => this.#rulesChanged());
    worker.watch((state) => {
      this.#tell({ set: { worker: state } });
      if (state.state === "ready") this.#begin();
    });
  }

  get document(): LiveDocument {
    return this.#place.shared.current;
  }

  /** The schedule as it stands: nothing while change and costs are not measured. Throws ArgumentError where the plan finds none. */
  get schedule(): Schedule | undefined {
    const { plan } = this.document;
    const measurements = this.#measurements;
    const heuristic = this.#heuristic(plan);
    if (measurements === undefined) return undefined;
    const known = this.#found;
    if (known?.plan === plan && known.measurements === measurements && known.heuristic === heuristic)
      return known.schedule;
    const schedule = planSchedule(plan, measurements, heuristic);
    this.#found = { plan, measurements, heuristic, schedule };
    return schedule;
  }

  /** Code that does what the page shows. Throws ArgumentError while there is no schedule. */
  recipes(): Recipes {
    const { document, schedule } = this;
    if (schedule === undefined)
      throw new ArgumentError("copy: expected a schedule, found change and costs still being measured — try again");
    return recipes(this.#settings(), this.#cachedBy(document.plan, schedule), this.#options.model);
  }

  /** The pictures of the last comparison that was finished. */
  get images(): { readonly plain: RgbImage; readonly cached: RgbImage } | undefined {
    return this.#images;
  }

  /** What was measured, as text for `measurementsFromJson`; nothing where it is of another key. */
  measurementsText(key: string): string | undefined {
    return this.#measurements?.key === key ? measurementsJson(this.#measurements) : undefined;
  }

  /** @returns ends the telling */
  subscribe(listener: (message: LiveMessage) => void): () => void {
    return this.#place.shared.subscribe(listener);
  }

  /** A page that looks on: without any, work stops after a while. @returns to be called when it has gone */
  attach(): () => void {
    this.#pages++;
    clearTimeout(this.#grace);
    let attached = true;
    return () => {
      if (!attached) return;
      attached = false;
      if (--this.#pages > 0) return;
      this.#grace = setTimeout(() => {
        this.#stop();
        this.#tell({ set: { judged: { ...this.document.judged, runs: false } } });
      }, this.#options.graceMilliseconds ?? GRACE_MILLISECONDS);
      this.#grace.unref();
    };
  }

  get pages(): number {
    return this.#pages;
  }

  /** Makes a user's own heuristic one that the picker has; given again, it takes the place of the one before. */
  offer(heuristic: NamedHeuristic | { readonly name: string; readonly problem: string }): void {
    const { name } = heuristic;
    if (HEURISTICS.some((each) => each.name === name))
      throw new ArgumentError(`heuristic: expected another name than the library's own, found "${name}"`);
    const { ownHeuristics } = this.document;
    const before = ownHeuristics.find((each) => each.name === name);
    const version = (before?.version ?? 0) + 1;
    if (!("problem" in heuristic)) this.#own.set(name, heuristic);
    const { parameter, values, bounds, integer } = this.#own.get(name) ?? {
      parameter: "",
      values: [],
      bounds: [0, Infinity] as const,
      integer: false,
    };
    const offered = {
      name,
      parameter,
      values,
      bounds: [bounds[0], Number.isFinite(bounds[1]) ? bounds[1] : null] as const,
      integer,
      version,
      ...("problem" in heuristic ? { problem: heuristic.problem } : {}),
    };
    this.#tell({ set: { ownHeuristics: [...ownHeuristics.filter((each) => each.name !== name), offered] } });
    if (this.document.plan.heuristic === name) this.#planChanged();
  }

  /**
   * Does what a page or a cell asks.
   *
   * @throws ArgumentError where it cannot be done
   */
  do(command: SessionCommand, answers?: LiveMessage["answers"]): void {
    const { judged, plan } = this.document;
    switch (command.command) {
      case "edit": {
        const next = editPlan(plan, command.edit);
        this.#history.record(plan, command.stroke);
        this.#setPlan(next, answers);
        return;
      }
      case "undo":
      case "redo": {
        const next = command.command === "undo" ? this.#history.undo(plan) : this.#history.redo(plan);
        this.#setPlan(next ?? plan, answers);
        return;
      }
      case "settings":
        return this.#setSettings(command.values, answers);
      case "follow":
        this.#tell({ set: { follows: command.on }, answers });
        if (command.on && this.document.comparison?.stale !== false) this.#compare();
        return;
      case "sample":
        return this.#compare();
      case "stop":
        this.#agenda.remove("compare");
        this.#agenda.remove("strip");
        return;
      case "other": {
        const { schedule } = this;
        if (command.do === "drop") this.#tell({ set: { other: null }, answers });
        else if (schedule !== undefined) this.#tell({ set: { other: { schedule, reuse: plan.reuse } }, answers });
        return;
      }
      case "look":
        return this.#agenda.add(stripTask(this.#place, this.#settings(), command.block));
      case "judgedSet":
        this.#agenda.remove("judge");
        // Results on another set are no results on this one.
        this.#tell({
          set: {
            judged: { ...judged, ...command.values, points: judged.points.map((point) => ({ ...point, results: [] })) },
          },
          answers,
        });
        if (judged.runs) this.#agenda.add(judgeTask(this.#place));
        return;
      case "judge":
        return this.#addPoints(command.add);
      case "judging":
        this.#tell({ set: { judged: { ...judged, runs: command.on } }, answers });
        if (command.on) this.#agenda.add(judgeTask(this.#place));
        else this.#agenda.remove("judge");
        return;
      case "forgetPoints":
        this.#agenda.remove("judge");
        this.#tell({ set: { judged: { ...judged, points: [], runs: false } }, answers });
    }
  }

  /** The session as plain data that `reopen` takes. */
  save(): SessionFile {
    return sessionFile(this.document);
  }

  /** Everything as a file has it; pages see it at once. Throws ArgumentError where it is another model's. */
  reopen(file: SessionFile): void {
    const parts = reopened(file, this.document);
    this.#stop();
    this.#history.record(this.document.plan);
    const gone = { other: null, comparison: null, strip: null };
    this.#tell({ set: { ...gone, ...definedOnly(parts), history: this.#history.counts } });
    this.#points = parts.judged?.points.length ?? 0;
    this.#images = undefined;
    // What the file shows stays until something is changed.
    this.#measure(() => {
      this.#findOwn();
      this.#fitAdjustment();
    });
  }

  async close(): Promise<void> {
    clearTimeout(this.#grace);
    this.#stopWatching();
    this.#agenda.clear();
    await this.#place.worker.close();
  }

  #tell(message: LiveMessage): void {
    this.#place.shared.tell(message);
  }

  #settings(): SamplingSettings {
    const { settings } = this.document;
    if (settings === undefined)
      throw new ArgumentError("session: expected a model, found one that is still being opened — try again");
    return settings;
  }

  #heuristic({ heuristic, imported }: Plan): NamedHeuristic | undefined {
    return imported === undefined ? this.#own.get(heuristic) : undefined;
  }

  /** The worker is ready: for the first time, or again after it ended. */
  #begin(): void {
    if (this.document.model === undefined)
      this.#agenda.add(describeTask(this.#place, (model) => this.#described(model)));
    const again = this.#cutOff;
    this.#cutOff = new Set();
    if (again.has("measure")) this.#measure();
    else if (again.has("compare")) this.#compare();
    if (this.document.judged.runs) this.#agenda.add(judgeTask(this.#place));
  }

  async #described(model: ModelDescription): Promise<void> {
    const { files, schedule, adjustment } = this.#options;
    const setting = files?.profile === undefined ? undefined : (await loadProfile(files.profile)).setting;
    const [height, width] = setting?.latent_size.map((extent) => extent * model.pixelsOfLatent) ?? [];
    if (adjustment !== undefined) {
      this.#adjustment = await loadAdjustment(adjustment);
      const plan = { ...this.document.plan, reuse: this.#adjustment.reuse, adjusted: true };
      const mending = mendingOf(this.#adjustment, model.following);
      this.#tell({ set: { plan, adjustment: { file: adjustment, mending } } });
    }
    const settings = {
      ...model.settings,
      ...(setting === undefined
        ? {}
        : {
            solver: setting.solver as SamplingSettings["solver"],
            schedulerConfig: setting.solver_config,
            steps: setting.num_inference_steps,
            guidanceScale: setting.guidance_scale,
            negativePrompt: setting.negative_prompt ?? "",
            height,
            width,
          }),
      ...(schedule === undefined ? {} : settingsOfSchedule(schedule)),
      ...this.#options.settings,
    };
    const judged = { ...this.document.judged, convergedSteps: CONVERGED_FACTOR * settings.steps };
    this.#tell({ set: { model, settings, judged } });
    this.#fileKey = measurementKey(settings);
    this.#measure();
  }

  /** Makes sure of the measurements for the settings, and then goes on. */
  #measure(then = (): void => this.#planChanged()): void {
    const settings = this.#settings();
    const key = measurementKey(settings);
    if (this.#measurements?.key === key) return then();
    this.#agenda.remove("compare");
    this.#tell({ set: { measured: null } });
    const { cacheFolder, files } = this.#options;
    const input = { settings, cacheFolder, files: key === this.#fileKey ? files : undefined };
    this.#agenda.add(
      measureTask(this.#place, input, (measurements) => {
        this.#measurements = { ...measurements, key };
        this.#tell({ set: { measured: key, problem: null } });
        then();
      }),
    );
  }

  #setSettings(values: Partial<SamplingSettings>, answers: LiveMessage["answers"]): void {
    const settings = { ...this.#settings(), ...values };
    this.#tell({ set: { settings, problem: null }, answers });
    this.#outdate();
    this.#measure();
  }

  /** What was sampled is no longer of what the page shows. */
  #outdate(): void {
    if (this.document.comparison?.stale === false) this.#tell({ stale: true });
  }

  #setPlan(plan: Plan, answers: LiveMessage["answers"]): void {
    this.#tell({ set: { plan, history: this.#history.counts, problem: null }, answers });
    this.#planChanged();
  }

  #planChanged(): void {
    const { follows } = this.document;
    this.#findOwn();
    this.#fitAdjustment();
    this.#outdate();
    if (follows) this.#compare();
    else this.#agenda.remove("compare");
  }

  /** A user's own rule is there, or another in its place. */
  #rulesChanged(): void {
    this.#tell({ set: { ownRules: knownRules() } });
    this.#found = undefined;
    if (!isOfLibrary(this.document.plan)) this.#planChanged();
  }

  /** What a user's own heuristic or rule finds is told: pages have the library's own, and not it. */
  #findOwn(): void {
    const isOwn = !isOfLibrary(this.document.plan);
    if (isOwn || this.document.ownSchedule !== undefined)
      this.#tell({ set: { ownSchedule: isOwn ? this.#ownSchedule() : null } });
  }

  #ownSchedule(): LiveDocument["ownSchedule"] | null {
    try {
      const { schedule } = this;
      return schedule === undefined ? null : { schedule };
    } catch (error) {
      return { problem: textOf(error) };
    }
  }

  /** Tells whether the adjustment is for what the plan finds. */
  #fitAdjustment(): void {
    const { document } = this;
    if (document.adjustment === undefined) return;
    const problem = this.#adjustmentProblem();
    const { problem: before, ...adjustment } = document.adjustment;
    if (problem === before) return;
    this.#tell({ set: { adjustment: { ...adjustment, ...(problem === undefined ? {} : { problem }) } } });
  }

  #adjustmentProblem(): string | undefined {
    try {
      const { schedule } = this;
      if (schedule !== undefined && this.#adjustment !== undefined)
        requireFitsSchedule(this.#adjustment, schedule, { name: this.document.plan.reuse });
      return undefined;
    } catch (error) {
      return textOf(error);
    }
  }

  /** Whether a plan's run is mended: where it asks for that, and the adjustment is for its schedule and rule. */
  #adjusts({ adjusted, reuse }: Plan, schedule: Schedule): boolean {
    if (!adjusted || this.#adjustment === undefined) return false;
    try {
      requireFitsSchedule(this.#adjustment, schedule, { name: reuse });
      return true;
    } catch {
      return false;
    }
  }

  #cachedBy(plan: Plan, schedule: Schedule): CachedBy {
    const { adjustment } = this.#options;
    return { schedule, reuse: plan.reuse, ...(this.#adjusts(plan, schedule) ? { adjustment } : {}) };
  }

  #compare(): void {
    const { plan } = this.document;
    try {
      const { schedule } = this;
      if (schedule === undefined || this.#measurements === undefined) return;
      const predictedSpeedup = predictPlan(this.#measurements.costs, schedule, reuseRule(plan.reuse)).speedup;
      this.#agenda.add(
        compareTask(
          this.#place,
          { settings: this.#settings(), plan, cached: this.#cachedBy(plan, schedule), predictedSpeedup },
          (result) => (this.#images = { plain: result.plain.image, cached: result.cached.image }),
        ),
      );
    } catch (error) {
      this.#agenda.remove("compare");
      this.#tell({ set: { problem: textOf(error) } });
    }
  }

  #addPoints(add: "this" | "values" | "plain"): void {
    const measurements = this.#measurements;
    if (measurements === undefined)
      throw new ArgumentError("judge: change and costs are still being measured — try again");
    const { plan, judged } = this.document;
    const adjusts = (of: Plan, schedule: Schedule): boolean => this.#adjusts(of, schedule);
    const source = { settings: this.#settings(), measurements, adjusts };
    const heuristic = this.#heuristic(plan) ?? HEURISTICS.find(({ name }) => name === plan.heuristic);
    const fresh =
      add === "plain"
        ? plainPoints(source)
        : add === "values" && heuristic !== undefined
          ? valuePoints(source, plan, heuristic)
          : [planPoint(source, plan, heuristic)];
    const points: JudgedPoint[] = fresh.map((point) => ({ ...point, id: `point ${this.#points++}` }));
    this.#tell({ set: { judged: { ...judged, points: [...judged.points, ...points], runs: true } } });
    this.#agenda.add(judgeTask(this.#place));
  }

  #stop(): void {
    for (const name of ["compare", "strip", "judge"]) this.#agenda.remove(name);
  }

  #fault(error: unknown): void {
    if (error instanceof WorkerEndedError) {
      const { comparison, measured } = this.document;
      if (measured === undefined) this.#cutOff.add("measure");
      else if (comparison?.state === "failed") this.#cutOff.add("compare");
    } else this.#tell({ set: { problem: textOf(error) } });
  }
}

/** What a page is told of the user's own rules. */
function knownRules(): LiveDocument["ownRules"] {
  return ownReuseRules().map(({ name, history }) => ({ name, history }));
}

function definedOnly<Values extends object>(values: Values): Partial<Values> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<Values>;
}
