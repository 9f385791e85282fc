/** Classifier-free guided sampling as an async generator: bars, hooks and recorders consume it. */
import { ArgumentError } from "../errors.js";
import { elementCount } from "../models/tensor.js";
import type { FloatTensor } from "../models/tensor.js";
import { combineObservers } from "../runtime/observer.js";
import type { BlockObserver, Evaluation } from "../runtime/observer.js";
import { guide, rescaleNoiseCfg } from "./guidance.js";
import type { RgbImage } from "./image.js";
import { TorchGenerator, randnTensor } from "./noise.js";
import type { Generators } from "./noise.js";
import { pixelsToImages } from "./pixels.js";
import type { Pipeline } from "./pipeline.js";
import { correctOutdatedConfig, createSolver, solverOfScheduler } from "./solvers/index.js";
import type { Solver, SolverName } from "./solvers/index.js";

/** Looks into the network during sampling. */
export interface SamplingHook extends BlockObserver {
  /** spatial transformers that must run in parts for this hook (their attn1, attn2 or ff is looked at) */
  inParts?(pipeline: Pipeline): readonly string[];
  /** Called before the first step; what it throws ends the sampling before it begins. */
  begin?(pipeline: Pipeline, plan: SamplingPlan): Promise<void>;
  /** Called when the sampling is over, however it ended. */
  end?(): void;
}

export interface SampleOptions {
  /** one prompt, or one for each image */
  readonly prompt: string | readonly string[];
  /** Default: the empty prompt. */
  readonly negativePrompt?: string | readonly string[];
  /**
   * Seed of the CPU generator that the noise comes from; Default: 0. A list holds one for each image;
   * a single seed draws the noise of all images in one go, as diffusers does.
   */
  readonly seed?: number | bigint | readonly (number | bigint)[];
  /** unit-normal start latents [images, channels, height, width], instead of drawn ones */
  readonly latents?: FloatTensor;
  /** num_inference_steps. Default: 20 */
  readonly steps?: number;
  /** Default: what the model's scheduler_config.json asks for. */
  readonly solver?: SolverName;
  /** changes to the model's scheduler_config.json, by diffusers' keys, for example `{ timestep_spacing: "trailing" }` */
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  /** Default: 5. Guidance is off at 1 and below. */
  readonly guidanceScale?: number;
  /** φ of Lin et al. 2023, section 3.4. Default: 0 */
  readonly guidanceRescale?: number;
  /** DDIM's η. Default: 0 */
  readonly eta?: number;
  /** pixels; both must be given or neither. Default: what the model was trained at */
  readonly height?: number;
  readonly width?: number;
  /** Default: 1 */
  readonly imagesPerPrompt?: number;
  /** Default: 0 */
  readonly clipSkip?: number;
  readonly hooks?: readonly SamplingHook[];
  readonly signal?: AbortSignal;
}

/** A sampling run, resolved: what it will do before it does it. */
export interface SamplingPlan {
  readonly solver: Solver;
  readonly prompts: readonly string[];
  readonly negativePrompts: readonly string[];
  readonly guidanceScale: number;
  readonly guided: boolean;
  /** latent height and width */
  readonly latentSize: readonly [height: number, width: number];
}

/** What the sampler yields after each step. */
export interface SamplingStep {
  /** 0-based */
  readonly index: number;
  /** number of steps */
  readonly total: number;
  readonly timestep: number;
  /** after this step [images, channels, height, width] */
  readonly latents: FloatTensor;
  /** x0 as predicted at this step */
  readonly predictedOriginal: FloatTensor;
  /** decodes the predicted x0 through the autoencoder */
  preview(): Promise<RgbImage[]>;
}

/** Resolves options against a model. Throws ArgumentError for what does not fit. */
export function planSampling(pipeline: Pipeline, options: SampleOptions): SamplingPlan {
  const { scheduler } = pipeline.folder;
  const solverName = options.solver ?? solverOfScheduler(scheduler._class_name);
  const solver = createSolver(solverName, { ...correctOutdatedConfig(scheduler, solverName), ...options.schedulerConfig }, options.steps ?? 20);
  const perPrompt = options.imagesPerPrompt ?? 1;
  if (!Number.isInteger(perPrompt) || perPrompt < 1) throw new ArgumentError(`imagesPerPrompt: expected an integer of 1 or more, found ${perPrompt}`);
  const given = [options.prompt].flat();
  if (given.length === 0) throw new ArgumentError("prompt: expected at least one, found an empty list");
  const negative = [options.negativePrompt ?? ""].flat();
  if (negative.length !== 1 && negative.length !== given.length) {
    throw new ArgumentError(`negativePrompt: expected one, or one for each of the ${given.length} prompts, found ${negative.length}`);
  }
  const guidanceScale = options.guidanceScale ?? 5;
  if (!Number.isFinite(guidanceScale)) throw new ArgumentError(`guidanceScale: expected a finite number, found ${guidanceScale}`);
  const repeat = (texts: readonly string[]): string[] => texts.flatMap((text) => Array<string>(perPrompt).fill(text));
  return {
    solver,
    prompts: repeat(given),
    negativePrompts: repeat(negative.length === 1 ? given.map(() => negative[0]) : negative),
    guidanceScale,
    guided: guidanceScale > 1,
    latentSize: latentSize(pipeline, options),
  };
}

/**
 * Samples images step by step (diffusers' StableDiffusionPipeline.__call__).
 *
 * @throws ArgumentError for options that do not fit the model; InterruptedError when `signal` aborts
 */
export async function* sample(pipeline: Pipeline, options: SampleOptions): AsyncGenerator<SamplingStep, void, undefined> {
  const plan = planSampling(pipeline, options);
  const hooks = options.hooks ?? [];
  try {
    for (const hook of hooks) await hook.begin?.(pipeline, plan);
    yield* run(pipeline, options, plan, hooks);
  } finally {
    for (const hook of hooks) hook.end?.();
  }
}

async function* run(pipeline: Pipeline, options: SampleOptions, plan: SamplingPlan, hooks: readonly SamplingHook[]): AsyncGenerator<SamplingStep, void, undefined> {
  const { solver, prompts, guided, guidanceScale } = plan;
  const images = prompts.length;
  const generators = generatorsOf(options.seed ?? 0, images);
  const encoderHiddenStates = await encodeText(pipeline, plan, options.clipSkip ?? 0);
  const unitNormal = startLatents(pipeline, plan, options.latents, generators);
  const start = { dims: unitNormal.dims, data: unitNormal.data.map((value) => value * solver.initNoiseSigma) };

  const observer = hooks.length === 0 ? undefined : combineObservers(hooks);
  const inParts = new Set(hooks.flatMap((hook) => hook.inParts?.(pipeline) ?? []));
  let evaluations = 0;

  const denoise = async (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
    const evaluation: Evaluation = { index: evaluations++, timestep, images, guided };
    const inputs = { sample: guided ? twice(latents) : latents, timestep, encoderHiddenStates };
    const output = await pipeline.network.forward(inputs, { observer, evaluation, inParts, signal: options.signal });
    await observer?.evaluated?.(evaluation);
    if (!guided) return output;
    const [unconditional, conditional] = halves(output);
    const combined = guide(unconditional, conditional, guidanceScale);
    const rescale = options.guidanceRescale ?? 0;
    return rescale > 0 ? rescaleNoiseCfg(combined, conditional, rescale) : combined;
  };

  for await (const step of solver.sample(denoise, start, { eta: options.eta, generator: generators })) {
    yield {
      ...step,
      total: solver.timesteps.length,
      preview: () => decodeImages(pipeline, step.predictedOriginal),
    };
  }
}

/** Samples to the end. */
export async function generate(pipeline: Pipeline, options: SampleOptions): Promise<{ latents: FloatTensor; images: RgbImage[] }> {
  let latents: FloatTensor | undefined;
  for await (const step of sample(pipeline, options)) latents = step.latents;
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  return { latents, images: await decodeImages(pipeline, latents) };
}

/** Latents as images, one at a time so that the autoencoder's memory does not grow with the batch. */
export async function decodeImages(pipeline: Pipeline, latents: FloatTensor): Promise<RgbImage[]> {
  const images: RgbImage[] = [];
  const [batch, ...rest] = latents.dims;
  const length = elementCount(rest);
  for (let row = 0; row < batch; row++) {
    const data = latents.data.subarray(row * length, (row + 1) * length);
    images.push(...pixelsToImages(await pipeline.decode({ dims: [1, ...rest], data })));
  }
  return images;
}

function latentSize(pipeline: Pipeline, { height, width, latents }: SampleOptions): readonly [height: number, width: number] {
  if (latents !== undefined) return [latents.dims[2], latents.dims[3]];
  if (height === undefined && width === undefined) return pipeline.defaultLatentSize;
  const factor = pipeline.vaeScaleFactor;
  for (const [name, size] of [["height", height], ["width", width]] as const) {
    if (size === undefined || !Number.isInteger(size) || size < factor || size % factor !== 0) {
      throw new ArgumentError(`${name}: expected a multiple of ${factor} pixels (one latent), found ${size} — give height and width together`);
    }
  }
  return [Number(height) / factor, Number(width) / factor];
}

function generatorsOf(seed: NonNullable<SampleOptions["seed"]>, images: number): Generators {
  if (typeof seed === "number" || typeof seed === "bigint") return new TorchGenerator(seed);
  if (seed.length !== images) throw new ArgumentError(`seed: expected one for each of the ${images} images, found ${seed.length}`);
  return seed.map((each) => new TorchGenerator(each));
}

function startLatents(pipeline: Pipeline, plan: SamplingPlan, given: FloatTensor | undefined, generators: Generators): FloatTensor {
  const dims = [plan.prompts.length, pipeline.folder.unet.in_channels, ...plan.latentSize];
  if (given === undefined) return randnTensor(dims, generators);
  if (given.dims.length !== 4 || given.dims.some((dim, axis) => dim !== dims[axis])) {
    throw new ArgumentError(`latents: expected [${dims.join(", ")}] (one row an image), found [${given.dims.join(", ")}]`);
  }
  return given;
}

async function encodeText(pipeline: Pipeline, plan: SamplingPlan, clipSkip: number): Promise<FloatTensor> {
  const texts = plan.guided ? [...plan.negativePrompts, ...plan.prompts] : plan.prompts;
  return (await pipeline.encodePrompts(texts, clipSkip)).promptEmbeds;
}

function twice({ dims: [batch, ...rest], data }: FloatTensor): FloatTensor {
  const doubled = new Float32Array(2 * data.length);
  doubled.set(data);
  doubled.set(data, data.length);
  return { dims: [2 * batch, ...rest], data: doubled };
}

function halves({ dims: [rows, ...rest], data }: FloatTensor): [FloatTensor, FloatTensor] {
  const dims = [rows / 2, ...rest];
  const middle = data.length / 2;
  return [
    { dims, data: data.subarray(0, middle) },
    { dims, data: data.subarray(middle) },
  ];
}
