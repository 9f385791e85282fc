/** What a sampling's evaluations are, whatever its prompts: solver, guidance, size. */
import { ArgumentError } from "../errors.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Pipeline } from "./pipeline.js";
import type { SampledEvaluations } from "./samplingHook.js";
import {
  correctOutdatedConfig,
  createSolver,
  schedulerClassOf,
  schedulerKeys,
  solverOfScheduler,
} from "./solvers/index.js";
import type { SolverName } from "./solvers/index.js";

export interface EvaluationOptions {
  /** num_inference_steps. Default: 20 */
  readonly steps?: number;
  /** Default: the one that the model's model_index.json names. */
  readonly solver?: SolverName;
  /** changes to the model's scheduler_config.json, by diffusers' keys, for example `{ use_karras_sigmas: true }` */
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  /** Default: 5. Guidance is off at 1 and below; a distilled network (LCM) reads it as an input instead. */
  readonly guidanceScale?: number;
  /**
   * unit-normal start latents [images, channels, height, width], instead of drawn ones; the generator's first
   * draw is then the first noise that the solver adds, if any
   */
  readonly latents?: FloatTensor;
  /** pixels; both must be given or neither. Default: those of `latents`, else what the model was trained at */
  readonly height?: number;
  readonly width?: number;
}

/** The evaluations of a sampling, resolved against a model. */
export interface PlannedEvaluations extends SampledEvaluations {
  readonly guidanceScale: number;
  /** each evaluation has an unconditional half */
  readonly guided: boolean;
  /** rows of the network's batch that each image takes: with guidance two, the unconditional one first */
  readonly rowsPerImage: 1 | 2;
  readonly latentSize: readonly [height: number, width: number];
}

/**
 * Resolves what does not depend on prompts.
 *
 * @throws ArgumentError for what does not fit; UnsupportedError for a scheduler that is not implemented, or asks for
 *   what is not; InvalidFileError for a value that the scheduler does not take
 */
export function planEvaluations(pipeline: Pipeline, options: EvaluationOptions): PlannedEvaluations {
  const { scheduler, schedulerClass, pipelineClass, unet } = pipeline.folder;
  const solverName = options.solver ?? solverOfScheduler(schedulerClass);
  refuseUnknownKeys(options.schedulerConfig);
  const schedulerConfig =
    pipelineClass === "StableDiffusionPipeline"
      ? correctOutdatedConfig(scheduler, schedulerClassOf[solverName] === schedulerClass)
      : scheduler;
  const solver = createSolver(solverName, { ...schedulerConfig, ...options.schedulerConfig }, options.steps ?? 20);
  const guidanceScale = options.guidanceScale ?? 5;
  if (!Number.isFinite(guidanceScale))
    throw new ArgumentError(`guidanceScale: expected a finite number, found ${guidanceScale}`);
  const guided = guidanceScale > 1 && unet.time_cond_proj_dim === null;
  return { solver, guidanceScale, guided, rowsPerImage: guided ? 2 : 1, latentSize: latentSize(pipeline, options) };
}

/** The negative prompt that is used where this one is asked for; null where zeros stand in for its embedding. */
export function negativePromptOf({ folder }: Pipeline, asked: string | undefined): string | null {
  return asked === undefined && folder.forceZerosForEmptyPrompt ? null : (asked ?? "");
}

/** As in diffusers, keys of other scheduler classes pass without effect; a key that none of them knows is a mistake. */
function refuseUnknownKeys(schedulerConfig: EvaluationOptions["schedulerConfig"]): void {
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
  { height, width, latents }: EvaluationOptions,
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
