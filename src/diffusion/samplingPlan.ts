/** A sampling run: what may be asked for, and what it will do before it does it. */
import { ArgumentError } from "../errors.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Pipeline } from "./pipeline.js";
import type { SamplingHook } from "./samplingHook.js";
import { refuseSizeConditions, timeIdsOf } from "./sizeConditions.js";
import type { SizeConditions, TimeIds } from "./sizeConditions.js";
import {
  correctOutdatedConfig,
  createSolver,
  schedulerClassOf,
  schedulerKeys,
  solverOfScheduler,
} from "./solvers/index.js";
import type { Solver, SolverName } from "./solvers/index.js";

export interface SampleOptions extends SizeConditions {
  /** one prompt, or one for each image */
  readonly prompt: string | readonly string[];
  /**
   * What the image must not show; refused where guidance is off, but for the empty prompt. Default: the empty prompt, or zeros as its
   * embedding where SDXL's force_zeros_for_empty_prompt says so.
   */
  readonly negativePrompt?: string | readonly string[];
  /**
   * Seed of the CPU generator that the noise comes from; Default: 0. A list holds one for each image;
   * a single seed draws the noise of all images in one go, as diffusers does.
   */
  readonly seed?: number | bigint | readonly (number | bigint)[];
  /**
   * unit-normal start latents [images, channels, height, width], instead of drawn ones; the generator's first
   * draw is then the first noise that the solver adds, if any
   */
  readonly latents?: FloatTensor;
  /** num_inference_steps. Default: 20 */
  readonly steps?: number;
  /** Default: the one that the model's model_index.json names. */
  readonly solver?: SolverName;
  /** changes to the model's scheduler_config.json, by diffusers' keys, for example `{ use_karras_sigmas: true }` */
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  /** Default: 5. Guidance is off at 1 and below; a distilled network (LCM) reads it as an input instead. */
  readonly guidanceScale?: number;
  /** φ of Lin et al. 2023, section 3.4; with guidance. Default: 0 */
  readonly guidanceRescale?: number;
  /** η, of DDIM alone. Default: 0 */
  readonly eta?: number;
  /** pixels; both must be given or neither. Default: those of `latents`, else what the model was trained at */
  readonly height?: number;
  readonly width?: number;
  /** Default: 1 */
  readonly imagesPerPrompt?: number;
  /** how many of the text encoders' last layers the prompt's embedding leaves out; negative prompts keep them, as in diffusers. Default: 0 */
  readonly clipSkip?: number;
  readonly hooks?: readonly SamplingHook[];
  /** checked between blocks, before texts are encoded, and between images that are decoded */
  readonly signal?: AbortSignal;
}

/** A sampling run, resolved: what it will do before it does it. */
export interface SamplingPlan {
  readonly solver: Solver;
  readonly prompts: readonly string[];
  /** absent: their embedding is zeros */
  readonly negativePrompts?: readonly string[];
  readonly clipSkip: number;
  readonly guidanceScale: number;
  /** each evaluation has an unconditional half */
  readonly guided: boolean;
  /** latent height and width */
  readonly latentSize: readonly [height: number, width: number];
  /** SDXL's size conditions */
  readonly timeIds?: TimeIds;
}

/**
 * Resolves options against a model.
 *
 * @throws ArgumentError for what does not fit; UnsupportedError for a scheduler that is not implemented, or asks for
 *   what is not; InvalidFileError for a value that the scheduler does not take
 */
export function planSampling(pipeline: Pipeline, options: SampleOptions): SamplingPlan {
  const { scheduler, schedulerClass, pipelineClass, unet, forceZerosForEmptyPrompt } = pipeline.folder;
  const solverName = options.solver ?? solverOfScheduler(schedulerClass);
  refuseUnknownKeys(options.schedulerConfig);
  const schedulerConfig =
    pipelineClass === "StableDiffusionPipeline"
      ? correctOutdatedConfig(scheduler, schedulerClassOf[solverName] === schedulerClass)
      : scheduler;
  const solver = createSolver(solverName, { ...schedulerConfig, ...options.schedulerConfig }, options.steps ?? 20);
  const perPrompt = options.imagesPerPrompt ?? 1;
  if (!Number.isInteger(perPrompt) || perPrompt < 1)
    throw new ArgumentError(`imagesPerPrompt: expected an integer of 1 or more, found ${perPrompt}`);
  const given = [options.prompt].flat();
  if (given.length === 0) throw new ArgumentError("prompt: expected at least one, found an empty list");
  requireTexts("prompt", given);
  const negative = [options.negativePrompt ?? ""].flat();
  requireTexts("negativePrompt", negative);
  if (negative.length !== 1 && negative.length !== given.length) {
    throw new ArgumentError(
      `negativePrompt: expected one, or one for each of the ${given.length} prompts, found ${negative.length}`,
    );
  }
  const guidanceScale = options.guidanceScale ?? 5;
  if (!Number.isFinite(guidanceScale))
    throw new ArgumentError(`guidanceScale: expected a finite number, found ${guidanceScale}`);
  const rescale = options.guidanceRescale ?? 0;
  if (!Number.isFinite(rescale) || rescale < 0)
    throw new ArgumentError(`guidanceRescale: expected a number of 0 or more, found ${rescale}`);
  const repeat = (texts: readonly string[]): string[] => texts.flatMap((text) => Array<string>(perPrompt).fill(text));
  const zeroed = options.negativePrompt === undefined && forceZerosForEmptyPrompt;
  const size = latentSize(pipeline, options);
  const [height, width] = size.map((each) => each * pipeline.vaeScaleFactor);
  if (!pipeline.takesSizeConditions) refuseSizeConditions(options);
  const guided = guidanceScale > 1 && unet.time_cond_proj_dim === null;
  if (!guided) refuseGuidance(negative, options, guidanceScale);
  if (solverName !== "ddim" && (options.eta ?? 0) !== 0)
    throw new ArgumentError(
      `eta: expected 0 with the solver ${solverName}, found ${options.eta} — only ddim has it: leave it out, or give solver: "ddim" (--solver ddim)`,
    );
  return {
    solver,
    prompts: repeat(given),
    negativePrompts: zeroed ? undefined : repeat(negative.length === 1 ? given.map(() => negative[0]) : negative),
    clipSkip: options.clipSkip ?? 0,
    guidanceScale,
    guided,
    latentSize: size,
    timeIds: pipeline.takesSizeConditions ? timeIdsOf(options, [height, width]) : undefined,
  };
}

/** A notebook's cell may hold anything. */
function requireTexts(name: string, texts: readonly unknown[]): void {
  const other = texts.find((each) => typeof each !== "string");
  if (other !== undefined)
    throw new ArgumentError(`${name}: expected a text, or a list of them, found ${typeof other}`);
}

/** What only guidance looks at would change nothing, without a word. */
function refuseGuidance(
  negative: readonly string[],
  { guidanceRescale = 0 }: SampleOptions,
  guidanceScale: number,
): void {
  const off =
    guidanceScale > 1
      ? "this network is distilled and takes the guidance scale as an input, so that there is no guidance: leave it out"
      : `guidance is off at guidanceScale ${guidanceScale}: leave it out, or give a scale above 1 (--guidance-scale)`;
  const text = negative.find((each) => each !== "");
  if (text !== undefined) throw new ArgumentError(`negativePrompt: expected none, found "${text}" — ${off}`);
  if (guidanceRescale !== 0) throw new ArgumentError(`guidanceRescale: expected 0, found ${guidanceRescale} — ${off}`);
}

/** As in diffusers, keys of other scheduler classes pass without effect; what none of them knows is a slip. */
function refuseUnknownKeys(schedulerConfig: SampleOptions["schedulerConfig"]): void {
  if (schedulerConfig === undefined) return;
  const known = schedulerKeys();
  const unknown = Object.keys(schedulerConfig).find((key) => !known.has(key));
  if (unknown !== undefined)
    throw new ArgumentError(
      `schedulerConfig: ${unknown}: no solver has this key — they have ${[...known].sort().join(", ")}`,
    );
}

function latentSize(
  pipeline: Pipeline,
  { height, width, latents }: SampleOptions,
): readonly [height: number, width: number] {
  const factor = pipeline.vaeScaleFactor;
  if (latents !== undefined) {
    const { dims, data } = latents;
    if (dims.length !== 4 || elementCount(dims) !== data.length) {
      throw new ArgumentError(
        `latents: expected [images, channels, height, width] and as many numbers, found [${dims.join(", ")}] and ${data.length} numbers`,
      );
    }
    const [rows, columns] = [dims[2] * factor, dims[3] * factor];
    if ((height ?? rows) !== rows || (width ?? columns) !== columns) {
      throw new ArgumentError(
        `height, width: expected ${rows} and ${columns}, the pixels that the latents make, found ${height ?? rows} and ${width ?? columns} — leave them out`,
      );
    }
    return [dims[2], dims[3]];
  }
  if (height === undefined && width === undefined) return pipeline.defaultLatentSize;
  for (const [name, size] of [
    ["height", height],
    ["width", width],
  ] as const) {
    if (size === undefined || !Number.isInteger(size) || size < factor || size % factor !== 0) {
      throw new ArgumentError(
        `${name}: expected a multiple of ${factor} pixels (one latent), found ${size} — give height and width together`,
      );
    }
  }
  return [Number(height) / factor, Number(width) / factor];
}
