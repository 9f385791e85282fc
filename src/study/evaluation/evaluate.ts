/** The paper's Table 1 for any model: settings on the same prompts and seeds, by speed and by metrics of the pictures. */
import { join } from "node:path";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { negativePromptOf, planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { ArgumentError } from "../../errors.js";
import { whileFilling } from "../../files/whileLocked.js";
import { distinctTrajectories } from "../../instrument/profile/trajectories.js";
import type { JobRunner } from "../../jobs/job.js";
import { metricNamed } from "../../quality/metrics.js";
import { pairedRatio } from "../../quality/pairedRatio.js";
import { differenceOf, intervalOf } from "../../quality/sets/measured.js";
import type { Measured } from "../../quality/sets/measured.js";
import type { Arm } from "../result.js";
import { ONLY_SPACING } from "../setting.js";
import type { StudySettingOptions } from "../setting.js";
import { checkArms } from "./arm.js";
import { EVALUATION_FILE, saveEvaluation } from "./evaluationFile.js";
import type { EvaluatedSetting, Evaluation, EvaluationSampling, MetricResult } from "./evaluation.js";
import { openJudges } from "./judges.js";
import type { JudgeOptions, Judges } from "./judges.js";
import { makePictures } from "./makePictures.js";
import { measurePictures } from "./measurePictures.js";
import { multiplyAddsOf } from "./multiplyAdds.js";
import type { SampledPictures } from "./pictureJob.js";

export interface EvaluateOptions
  extends Omit<StudySettingOptions, "solver" | "steps" | "convergedSteps" | "repeats">, JudgeOptions {
  readonly settings: readonly Arm[];
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise */
  readonly seeds: readonly number[];
  /** Where pictures, features and the result are kept. An interrupted evaluation goes on, one with more settings grows. */
  readonly folder: string;
  /** names of metrics. Default: frechet, clip-score */
  readonly metrics?: readonly string[];
  /** name of the setting that the others are compared with. Default: the first */
  readonly baseline?: string;
  /** where the jobs run. Default: this process */
  readonly runner?: JobRunner;
  /** pictures done and to do in all, those found in the folder counted as done */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** What a table has where nothing is said. */
export const DEFAULT_METRICS = ["frechet", "clip-score"];

/**
 * Makes the pictures of every setting on prompts × seeds, times them in turn, and takes every metric of them. A trajectory
 * that is asked for twice counts once. The folder
 * then holds `<setting>/00000.png` …, `features/<setting>.safetensors`, `jobs/` and `evaluation.json`, the result.
 *
 * @throws ArgumentError where a setting does not fit, a metric lacks what it needs, or the folder cannot be written or holds
 *   an evaluation of another sampling; InUseError where another evaluation is filling the folder; InvalidFileError for what
 *   is damaged in it; InterruptedError on abort
 */
export async function evaluate(pipeline: Pipeline, options: EvaluateOptions): Promise<Evaluation> {
  const { settings: arms, prompts, seeds, folder, metrics: names = DEFAULT_METRICS } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  const sampling = await resolveSampling(pipeline, options);
  await checkArms(pipeline, sampling, arms);
  const baseline = arms.find(({ name }) => name === (options.baseline ?? arms[0].name));
  if (baseline === undefined)
    throw new ArgumentError(
      `baseline: expected one of ${arms.map(({ name }) => name).join(", ")}, found "${options.baseline}"`,
    );
  const trajectories = distinctTrajectories(pipeline, prompts, seeds);
  const repeated = prompts.length * seeds.length - trajectories.length;
  const judges = await openJudges(names.map(metricNamed), trajectories.length, options);
  try {
    return await whileFilling(folder, EVALUATION_FILE, async () => {
      const sampled = await makePictures(pipeline, { ...options, sampling, trajectories, arms });
      const measured = await measurePictures({ ...options, judges, arms, baseline, trajectories, sampled });
      const evaluation: Evaluation = {
        format: "blockcache-evaluation",
        version: 1,
        sampling,
        machines: [...new Set([...sampled.values()].flat().map(({ machine }) => machine))],
        trajectories,
        ...(repeated === 0 ? {} : { repeated }),
        baseline: baseline.name,
        ...provenanceOf(judges),
        settings: arms.map((arm): EvaluatedSetting => {
          const [own, base] = [arm, baseline].map(({ name }) => sampled.get(name) ?? []);
          return {
            arm,
            images_per_second: ratio(own.map(imagesOf), own.map(secondsOf)),
            speedup: ratio(base.map(secondsOf), own.map(secondsOf)),
            multiply_adds: multiplyAddsOf(pipeline, sampling, arm),
            metrics: resultsOf(measured[arm.name], arm === baseline ? {} : measured[baseline.name]),
          };
        }),
      };
      await saveEvaluation(join(folder, EVALUATION_FILE), evaluation);
      return evaluation;
    });
  } finally {
    await judges.dispose();
  }
}

/** Metrics with their intervals, and their differences to what the baseline has too. */
function resultsOf(
  own: Readonly<Record<string, Measured>>,
  baseline: Readonly<Record<string, Measured>>,
): Record<string, MetricResult> {
  const results = Object.entries(own).map(([name, metric]): [string, MetricResult] => {
    const { value, unbiased } = metric;
    const corrected = unbiased === undefined ? {} : { unbiased };
    const difference = name in baseline ? { difference: differenceOf(metric, baseline[name]) } : {};
    return [name, { value, ...intervalOf(metric), ...corrected, ...difference }];
  });
  return Object.fromEntries(results);
}

function provenanceOf({ extractor, reference }: Judges): Pick<Evaluation, "extractor" | "reference"> {
  if (reference === undefined) return { extractor: extractor.id };
  const { name, features } = reference;
  return { extractor: extractor.id, reference: { name, pictures: features.pictures } };
}

const imagesOf = ({ latents }: SampledPictures): number => latents.dims[0];
const secondsOf = ({ seconds }: SampledPictures): number => seconds;

function ratio(over: readonly number[], under: readonly number[]): EvaluatedSetting["speedup"] {
  const { ratio: value, low, high } = pairedRatio(over, under);
  return { value, low, high };
}

async function resolveSampling(pipeline: Pipeline, options: EvaluateOptions): Promise<EvaluationSampling> {
  const { batch = 4, schedulerConfig = {}, guidanceScale, negativePrompt } = options;
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`batch: expected an integer of 1 or more, found ${batch}`);
  const { height, width } = options;
  const plan = planEvaluations(pipeline, { guidanceScale, schedulerConfig, height, width });
  return {
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    timestep_spacing: String(plan.solver.config.timestep_spacing ?? ONLY_SPACING),
    ...(Object.keys(schedulerConfig).length === 0 ? {} : { scheduler_config: schedulerConfig }),
    guidance_scale: plan.guidanceScale,
    negative_prompt: negativePromptOf(pipeline, negativePrompt),
    latent_size: plan.latentSize,
    batch,
  };
}
