/** A sampling run: what may be asked for, and what it will do before it does it. */
import { ArgumentError } from "../errors.js";
import type { Pipeline } from "./pipeline.js";
import { negativePromptOf, planEvaluations } from "./plannedEvaluations.js";
import type { EvaluationOptions, PlannedEvaluations } from "./plannedEvaluations.js";
import type { SamplingHook } from "./samplingHook.js";
import { refuseSizeConditions, timeIdsOf } from "./sizeConditions.js";
import type { SizeConditions, TimeIds } from "./sizeConditions.js";
import { solverOfScheduler } from "./solvers/index.js";

export interface SampleOptions extends EvaluationOptions, SizeConditions {
  /** one prompt, or one for each image */
  readonly prompt: string | readonly string[];
  /**
   * What the image must not show; refused where guidance is off, unless it is empty, and of no effect where the network
   * is distilled. Default: the empty prompt, or zeros as its embedding where SDXL's force_zeros_for_empty_prompt says
   * so.
   */
  readonly negativePrompt?: string | readonly string[];
  /**
   * Seed of the CPU generator that the noise comes from; Default: 0. A list holds one for each image;
   * a single seed draws the noise of all images in one go, as diffusers does.
   */
  readonly seed?: number | bigint | readonly (number | bigint)[];
  /** φ of Lin et al. 2023, section 3.4; needs guidance. Default: 0 */
  readonly guidanceRescale?: number;
  /** η, only for DDIM. Default: 0 */
  readonly eta?: number;
  /** Default: 1 */
  readonly imagesPerPrompt?: number;
  /** how many of the text encoders' last layers the prompt's embedding leaves out; negative prompts keep them, as in diffusers. Default: 0 */
  readonly clipSkip?: number;
  readonly hooks?: readonly SamplingHook[];
  /** checked between blocks, before texts are encoded, and between images that are decoded */
  readonly signal?: AbortSignal;
}

/** A sampling run, resolved: what it will do before it does it. */
export interface SamplingPlan extends PlannedEvaluations {
  /** one for each image */
  readonly prompts: readonly string[];
  /** absent: their embedding is zeros */
  readonly negativePrompts?: readonly string[];
  readonly clipSkip: number;
  /** SDXL's size conditions */
  readonly timeIds?: TimeIds;
}

/**
 * Resolves options against a model.
 *
 * @throws ArgumentError for prompts or sizes that do not fit, and what {@link planEvaluations} throws
 */
export function planSampling(pipeline: Pipeline, options: SampleOptions): SamplingPlan {
  const evaluations = planEvaluations(pipeline, options);
  const perPrompt = options.imagesPerPrompt ?? 1;
  if (!Number.isInteger(perPrompt) || perPrompt < 1)
    throw new ArgumentError(`imagesPerPrompt: expected an integer of 1 or more, found ${perPrompt}`);
  const given = [options.prompt].flat();
  if (given.length === 0) throw new ArgumentError("prompt: expected at least one, found an empty list");
  requireTexts("prompt", given);
  const asked = options.negativePrompt === undefined ? [undefined] : [options.negativePrompt].flat();
  requireTexts(
    "negativePrompt",
    asked.filter((each) => each !== undefined),
  );
  const negative = asked.map((each) => negativePromptOf(pipeline, each));
  if (negative.length !== 1 && negative.length !== given.length) {
    throw new ArgumentError(
      `negativePrompt: expected one, or one for each of the ${given.length} prompts, found ${negative.length}`,
    );
  }
  const rescale = options.guidanceRescale ?? 0;
  if (!Number.isFinite(rescale) || rescale < 0)
    throw new ArgumentError(`guidanceRescale: expected a number of 0 or more, found ${rescale}`);
  if (evaluations.guidanceScale <= 1) refuseGuidance(asked, options, evaluations.guidanceScale);
  const solver = options.solver ?? solverOfScheduler(pipeline.folder.schedulerClass);
  if (solver !== "ddim" && (options.eta ?? 0) !== 0)
    throw new ArgumentError(
      `eta: expected 0 with the solver ${solver}, found ${options.eta} — only ddim has it: leave it out, or give solver: "ddim" (--solver ddim)`,
    );
  const repeat = (texts: readonly string[]): string[] => texts.flatMap((text) => Array<string>(perPrompt).fill(text));
  const negatives = given.map((_, index) => negative[negative.length === 1 ? 0 : index]);
  const [height, width] = evaluations.latentSize.map((each) => each * pipeline.vaeScaleFactor);
  if (!pipeline.takesSizeConditions) refuseSizeConditions(options);
  return {
    ...evaluations,
    prompts: repeat(given),
    negativePrompts: negatives.every((each) => each !== null) ? repeat(negatives) : undefined,
    clipSkip: options.clipSkip ?? 0,
    timeIds: pipeline.takesSizeConditions ? timeIdsOf(options, [height, width]) : undefined,
  };
}

/** A notebook's cell may pass anything. */
function requireTexts(name: string, texts: readonly unknown[]): void {
  const other = texts.find((each) => typeof each !== "string");
  if (other !== undefined)
    throw new ArgumentError(`${name}: expected a text, or a list of them, found ${typeof other}`);
}

/**
 * With guidance off, options that only guidance reads would silently change nothing. A distilled network has no
 * guidance at any scale; there, as in diffusers, they pass without effect.
 */
function refuseGuidance(
  negative: readonly (string | undefined)[],
  { guidanceRescale = 0 }: SampleOptions,
  guidanceScale: number,
): void {
  const off = `guidance is off at guidanceScale ${guidanceScale}: leave it out, or give a scale above 1 (--guidance-scale)`;
  const text = negative.find((each) => each !== undefined && each !== "");
  if (text !== undefined) throw new ArgumentError(`negativePrompt: expected none, found "${text}" — ${off}`);
  if (guidanceRescale !== 0) throw new ArgumentError(`guidanceRescale: expected 0, found ${guidanceRescale} — ${off}`);
}
