/** Classifier-free guided sampling as an async generator: progress bars, hooks and recorders consume it. */
import type { FloatTensor } from "../numerics/tensor.js";
import type { Evaluation } from "../engine/network/observer.js";
import { conditionsOf } from "./conditioning.js";
import { decodeImages } from "./decodeImages.js";
import { guide, rescaleNoiseCfg } from "./guidance.js";
import type { RgbImage } from "./image.js";
import { requireMemory } from "./memoryCheck.js";
import type { Pipeline } from "./pipeline.js";
import { beginAll, endAll, takeAll } from "./samplingHook.js";
import { planSampling } from "./samplingPlan.js";
import type { SampleOptions, SamplingPlan } from "./samplingPlan.js";
import { generatorsOf, startLatents } from "./startLatents.js";
import { requireFinite } from "../numerics/finite.js";
import { halves, stack } from "../numerics/tensorRows.js";

/** What the sampler yields after each network evaluation; a Heun or PNDM step has several (solvers/solver.ts). */
export interface SamplingStep {
  /** of the evaluation, 0-based */
  readonly index: number;
  /** number of evaluations */
  readonly total: number;
  readonly timestep: number;
  /**
   * after this evaluation [images, channels, height, width]; a copy, like predictedOriginal: changing it does not
   * change the run
   */
  readonly latents: FloatTensor;
  /** x0 as predicted at this evaluation */
  readonly predictedOriginal: FloatTensor;
  /** decodes the predicted x0 through the autoencoder */
  preview(): Promise<RgbImage[]>;
}

/**
 * Samples images step by step (diffusers' StableDiffusionPipeline.__call__).
 *
 * @throws ArgumentError for options that do not fit the model or the memory; UnsupportedError, InvalidFileError for
 *   what {@link planSampling} refuses and for the text encoders' weights; NotFiniteError where latents are or become
 *   NaN or infinite; InterruptedError when `signal` aborts; what a hook throws
 */
export async function* sample(
  pipeline: Pipeline,
  options: SampleOptions,
): AsyncGenerator<SamplingStep, void, undefined> {
  const plan = planSampling(pipeline, options);
  requireMemory(pipeline, plan);
  // The caller's list may change while this samples.
  const hooks = [...(options.hooks ?? [])];
  takeAll(hooks);
  try {
    const inParts = await beginAll(hooks, pipeline, plan);
    yield* run(pipeline, { ...options, hooks }, plan, inParts);
  } finally {
    endAll(hooks);
  }
}

async function* run(
  pipeline: Pipeline,
  options: SampleOptions,
  plan: SamplingPlan,
  inParts: ReadonlySet<string>,
): AsyncGenerator<SamplingStep, void, undefined> {
  const { solver, prompts, guided, guidanceScale } = plan;
  const images = prompts.length;
  const generators = generatorsOf(options.seed ?? 0, images);
  const conditions = await conditionsOf(pipeline, plan, options.signal);
  const unitNormal = startLatents(
    [images, pipeline.folder.unet.in_channels, ...plan.latentSize],
    options.latents,
    generators,
  );
  requireFinite(unitNormal, "latents", "give unit-normal latents");
  const hint =
    pipeline.device.precision === "float16"
      ? 'sample with precision: "float32" (--precision float32)'
      : "what hooks and reuse rules put in may have grown too large; checkBlocks() among the hooks (--check-blocks) names the first block";
  const start = { dims: unitNormal.dims, data: unitNormal.data.map((value) => value * solver.initNoiseSigma) };

  const { hooks: observers = [], signal } = options;
  let evaluations = 0;

  const denoise = async (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
    const evaluation: Evaluation = { index: evaluations++, timestep, images, guided };
    const inputs = { sample: guided ? stack(latents, latents) : latents, timestep, ...conditions };
    for (const hook of observers) await hook.evaluating?.(inputs, evaluation);
    const output = await pipeline.network.forward(inputs, { observers, evaluation, inParts, signal });
    requireFinite(
      output,
      `sampling: evaluation ${evaluation.index}: the network's output at timestep ${timestep}`,
      hint,
    );
    if (!guided) return output;
    const [unconditional, conditional] = halves(output);
    const combined = guide(unconditional, conditional, guidanceScale);
    const rescale = options.guidanceRescale ?? 0;
    return rescale > 0 ? rescaleNoiseCfg(combined, conditional, rescale) : combined;
  };

  for await (const step of solver.sample(denoise, start, { eta: options.eta, generator: generators })) {
    requireFinite(step.latents, `sampling: evaluation ${step.index}: latents`, hint);
    yield {
      ...step,
      latents: copyOf(step.latents),
      predictedOriginal: copyOf(step.predictedOriginal),
      total: solver.timesteps.length,
      preview: () => decodeImages(pipeline, step.predictedOriginal),
    };
  }
}

/** Solvers continue from what they yield, so consumers get copies. */
function copyOf({ dims, data }: FloatTensor): FloatTensor {
  return { dims: [...dims], data: data.slice() };
}

/** Samples to the end: the latents [images, channels, height, width] that come out. */
export async function finalLatentsOf(run: AsyncIterable<SamplingStep>): Promise<FloatTensor> {
  let latents: FloatTensor | undefined;
  for await (const step of run) latents = step.latents;
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  return latents;
}

/**
 * Samples to the end, and decodes.
 *
 * @returns latents [images, channels, height, width] as sampled, and a picture of each
 * @throws what {@link sample} and {@link decodeImages} throw
 */
export async function generate(
  pipeline: Pipeline,
  options: SampleOptions,
): Promise<{ latents: FloatTensor; images: RgbImage[] }> {
  const latents = await finalLatentsOf(sample(pipeline, options));
  return { latents, images: await decodeImages(pipeline, latents, options.signal) };
}
