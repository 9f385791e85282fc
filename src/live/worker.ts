/** Who holds the pipeline and does the work: this process, or one beside it. Jobs, results and events are plain data. */
import type { RgbImage } from "../diffusion/image.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { BlockMapEntry } from "../instrument/blockMap.js";
import type { Measurements } from "../planning/plan.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SamplingSettings } from "./settings.js";

/** A model as a page shows it. */
export interface ModelDescription {
  readonly name: string;
  readonly fingerprint: string;
  readonly device: string;
  readonly precision: string;
  /** layer blocks in execution order */
  readonly blocks: readonly BlockMapEntry[];
  /** ids of those whose input an adjustment by its change keeps */
  readonly following: readonly string[];
  readonly solvers: readonly SolverName[];
  /** what the model's own scheduler asks for, at the size that it was trained at */
  readonly settings: SamplingSettings;
  /** pixels of a latent each way */
  readonly pixelsOfLatent: number;
}

/** What happens while a cached run forms beside the plain one. */
export type ComparisonEvent =
  /** the cached run's blocks at a network evaluation, as they go */
  | { readonly lit: { evaluation: number; computed: readonly string[]; reused: readonly string[] } }
  | { readonly preview: { run: RunName; step: number; total: number; picture: string } };

export type RunName = "plain" | "cached";

/** One of the two runs at its end. */
export interface FinishedRun {
  /** data URI */
  readonly picture: string;
  readonly image: RgbImage;
  /** spent in the steps themselves: looking and decoding left out */
  readonly seconds: number;
}

export interface ComparisonResult {
  readonly plain: FinishedRun;
  readonly cached: FinishedRun;
  /** the plain run is an earlier one of the same settings */
  readonly plainKept: boolean;
  /** |cached − plain|, as a data URI */
  readonly difference: string;
  /** plain seconds ÷ cached */
  readonly speedup: number;
  /** dB; null where the pictures are equal */
  readonly psnr: number | null;
}

export interface Progress {
  readonly label: string;
  readonly done: number;
  readonly total: number;
}

/** First principal components of a block's C over a run. */
export interface BlockStrip {
  readonly block: string;
  readonly evaluations: readonly number[];
  readonly timesteps: readonly number[];
  /** one picture an evaluation, data URIs */
  readonly pictures: readonly string[];
  /** of a spatial transformer: where it looks, at the same evaluations */
  readonly attention?: { readonly text: readonly AttentionRow[]; readonly pixels: readonly AttentionRow[] };
}

/** Attention to one token, or from one pixel: a map an evaluation, side by side, brighter where there is more. */
export interface AttentionRow {
  /** the token, or where the pixel lies */
  readonly label: string;
  /** of all attention, how much goes to this token: 0 to 1 */
  readonly share?: number;
  /** data URI */
  readonly picture: string;
}

/** What a run is cached by. */
export interface CachedBy {
  readonly schedule: Schedule;
  /** name of the reuse rule */
  readonly reuse: string;
  /** file of an adjustment that was fitted for them */
  readonly adjustment?: string;
}

/** A run to judge: cached where it says what by, else plain. */
export interface JudgedArm {
  readonly settings: SamplingSettings;
  readonly cached?: CachedBy;
  /** steps of the near-converged solution that it is compared with */
  readonly convergedSteps: number;
}

export interface Judgement {
  /** ‖latents − converged‖₂ / ‖converged‖₂ */
  readonly error: number;
  readonly seconds: number;
  /** network evaluations */
  readonly evaluations: number;
}

/** Files of `blockcache profile` and `blockcache costs`, in place of measuring. */
export interface MeasuredFiles {
  readonly profile?: string;
  readonly costs?: string;
}

export interface MeasureInput {
  readonly settings: SamplingSettings;
  /** where measurements are kept, and looked for */
  readonly cacheFolder: string;
  readonly files?: MeasuredFiles;
}

/** kind of job → what it is given, gives and tells meanwhile */
export interface Jobs {
  readonly describe: { readonly input: null; readonly result: ModelDescription; readonly event: never };
  readonly measure: {
    readonly input: MeasureInput;
    readonly result: Measurements;
    readonly event: Progress;
  };
  readonly compare: {
    readonly input: { readonly settings: SamplingSettings; readonly cached: CachedBy };
    readonly result: ComparisonResult;
    readonly event: ComparisonEvent;
  };
  readonly strip: {
    readonly input: { readonly settings: SamplingSettings; readonly block: string };
    readonly result: BlockStrip;
    readonly event: Progress;
  };
  readonly judge: { readonly input: JudgedArm; readonly result: Judgement; readonly event: never };
}

export type JobKind = keyof Jobs;

export interface JobOptions<Kind extends JobKind> {
  /** checked between blocks */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Jobs[Kind]["event"]) => void;
}

export type WorkerState =
  | { readonly state: "starting"; readonly message: string }
  | { readonly state: "ready" }
  /** it ended by itself, and is being started again */
  | { readonly state: "restarting"; readonly message: string }
  /** it cannot be started */
  | { readonly state: "failed"; readonly message: string };

export interface LiveWorker {
  /**
   * Does a job; jobs are done one at a time, in order.
   *
   * @throws InterruptedError on abort; WorkerEndedError where the worker ended meanwhile; what the job throws
   */
  run<Kind extends JobKind>(
    kind: Kind,
    input: Jobs[Kind]["input"],
    options?: JobOptions<Kind>,
  ): Promise<Jobs[Kind]["result"]>;
  /** Tells the state now and at each change. */
  watch(listener: (state: WorkerState) => void): void;
  close(): Promise<void>;
}
