/** Every metric that an evaluation asks for, of the pictures that it has made. */
import { basename, join } from "node:path";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { mean } from "../../instrument/profile/statistics.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { elementCount } from "../../numerics/tensor.js";
import { ArgumentError } from "../../errors.js";
import { openDevice } from "../../engine/device.js";
import { ClipModel } from "../../quality/features/clipModel.js";
import { extractFolder } from "../../quality/features/extractFolder.js";
import { DEFAULT_EXTRACTOR, locate, openExtractor } from "../../quality/features/extractor.js";
import { loadFeaturesOrStatistics, saveFeatures } from "../../quality/features/featureFile.js";
import { featuresOf } from "../../quality/features/features.js";
import type { FeatureExtractor, Features } from "../../quality/features/features.js";
import type { Metric, PictureSet, SetMetric, TrajectoryMetric } from "../../quality/metrics.js";
import { readPicture } from "../../quality/pictures/readPictures.js";
import { groupedBy, resamplings } from "../../quality/sets/bootstrap.js";
import type { Measured } from "../../quality/sets/measured.js";
import type { EvaluatedArm } from "./evaluation.js";
import { pictureName } from "./makePictures.js";
import type { SampledPictures } from "./pictureJob.js";

export interface MeasureOptions {
  readonly folder: string;
  readonly metrics: readonly Metric[];
  readonly arms: readonly EvaluatedArm[];
  /** metrics of trajectories are against its */
  readonly baseline: EvaluatedArm;
  readonly trajectories: readonly Trajectory[];
  readonly sampled: ReadonlyMap<string, readonly SampledPictures[]>;
  /** extracts the features of Fréchet distance, KID and CMMD. Default: fluent-clip */
  readonly extractor?: string;
  /** a CLIP folder, for the CLIP score. Default: fluent-clip */
  readonly clip?: string;
  /** a file of features, or of their statistics. Default with fluent-clip: its training pictures of the 3D style */
  readonly reference?: string;
  readonly signal?: AbortSignal;
}

export interface MeasuredPictures {
  readonly extractor: string;
  readonly reference?: { readonly name: string; readonly pictures: number };
  /** setting → metric → what it is */
  readonly metrics: Readonly<Record<string, Readonly<Record<string, Measured>>>>;
}

/** Statistics of fluent-clip's training pictures beside it. */
const DEFAULT_REFERENCE = join(locate(DEFAULT_EXTRACTOR), "pictures-3d.safetensors");

/** Throws ArgumentError where a metric lacks what it needs; InvalidFileError for damaged pictures; InterruptedError. */
export async function measurePictures(options: MeasureOptions): Promise<MeasuredPictures> {
  const { metrics, arms, baseline, trajectories, extractor: extractorName = DEFAULT_EXTRACTOR } = options;
  const groups = groupedBy(trajectories.map(({ prompt }) => prompt));
  const results: Record<string, Record<string, Measured>> = Object.fromEntries(arms.map(({ name }) => [name, {}]));
  const keep = (arm: string, metric: Metric, measured: Measured): void => {
    results[arm][metric.name] = measured;
  };

  const sets = metrics.filter((metric) => metric.of === "set");
  const distances = sets.filter(({ needs }) => needs !== "prompts");
  const scores = sets.filter(({ needs }) => needs === "prompts");
  const referenceFile = options.reference ?? (extractorName === DEFAULT_EXTRACTOR ? DEFAULT_REFERENCE : undefined);
  const needsReference = distances.length > 0;
  if (needsReference && referenceFile === undefined)
    throw new ArgumentError(
      `reference: expected a file of features by ${extractorName} for ${distances.map(({ name }) => name).join(", ")}, found none — \`blockcache features ${extractorName} --images folder\` makes it`,
    );
  const reference =
    needsReference && referenceFile !== undefined ? await loadFeaturesOrStatistics(referenceFile) : undefined;

  const take = async (
    of: readonly SetMetric[],
    sourceOf: (arm: EvaluatedArm) => Promise<PictureSet>,
  ): Promise<void> => {
    if (of.length === 0) return;
    for (const arm of arms) {
      const set = await sourceOf(arm);
      for (const metric of of) keep(arm.name, metric, metric.measure(set, { groups }));
    }
  };
  const extractor = await openExtractor(extractorName);
  try {
    await take(distances, async (arm) => ({ features: await featuresOfArm(extractor, arm, options, true), reference }));
  } finally {
    await extractor.dispose();
  }
  if (scores.length > 0) {
    const clip = await ClipModel.open(locate(options.clip ?? DEFAULT_EXTRACTOR), await openDevice());
    try {
      const texts = featuresOf(await clip.embedTexts(trajectories.map(({ prompt }) => prompt)), clip.id);
      const pictures: FeatureExtractor = {
        id: clip.id,
        embed: (each) => clip.embedPictures(each),
        dispose: () => clip.dispose(),
      };
      await take(scores, async (arm) => ({ features: await featuresOfArm(pictures, arm, options, false), texts }));
    } finally {
      await clip.dispose();
    }
  }
  const ofTrajectory = metrics.filter((metric) => metric.of === "trajectory");
  for (const arm of arms) {
    if (arm === baseline) continue;
    for (const metric of ofTrajectory) keep(arm.name, metric, await meanOver(metric, arm, options, groups));
  }
  return {
    extractor: extractor.id,
    ...(reference === undefined
      ? {}
      : { reference: { name: basename(referenceFile ?? ""), pictures: reference.pictures } }),
    metrics: results,
  };
}

/** Features of a setting's pictures; kept beside them where they are those of the distances. */
async function featuresOfArm(
  extractor: FeatureExtractor,
  { name }: EvaluatedArm,
  { folder, trajectories, signal }: MeasureOptions,
  kept: boolean,
): Promise<Features> {
  const names = trajectories.map((_, index) => pictureName(index));
  const features = await extractFolder(extractor, join(folder, name), names, { signal });
  if (kept) await saveFeatures(join(folder, "features", `${name}.safetensors`), features, names);
  return features;
}

/** The mean of a metric over all trajectories, each against the baseline's. */
async function meanOver(
  metric: TrajectoryMetric,
  arm: EvaluatedArm,
  { folder, baseline, trajectories, sampled }: MeasureOptions,
  groups: readonly (readonly number[])[],
): Promise<Measured> {
  const [own, others] = [arm, baseline].map(({ name }) => rowsOf(sampled.get(name) ?? []));
  const values: number[] = [];
  for (const row of trajectories.keys()) {
    const [picture, reference] = await Promise.all(
      [arm, baseline].map(({ name }) => readPicture(join(folder, name, pictureName(row)))),
    );
    values.push(metric.measure({ latents: own[row], picture }, { latents: others[row], picture: reference }));
  }
  return {
    value: mean(values),
    replicates: [...resamplings(groups)].map((rows) => mean(rows.map((row) => values[row]))),
  };
}

/** Each trajectory's latents [1, …]. */
function rowsOf(sampled: readonly SampledPictures[]): FloatTensor[] {
  return sampled.flatMap(({ latents: { dims, data } }) => {
    const length = elementCount(dims.slice(1));
    return Array.from({ length: dims[0] }, (_, row) => ({
      dims: [1, ...dims.slice(1)],
      data: data.subarray(row * length, (row + 1) * length),
    }));
  });
}
