/** Every metric that an evaluation asks for, of the pictures that it has made. */
import { join } from "node:path";
import type { RgbImage } from "../../diffusion/image.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import { mean } from "../../instrument/profile/statistics.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { elementCount } from "../../numerics/tensor.js";
import { extractFolder } from "../../quality/features/extractFolder.js";
import { saveFeatures } from "../../quality/features/featureFile.js";
import { featuresOf } from "../../quality/features/features.js";
import type { FeatureExtractor, Features } from "../../quality/features/features.js";
import type { TrajectoryMetric } from "../../quality/metrics.js";
import { readPicture } from "../../quality/pictures/readPictures.js";
import { groupedBy, resamplings } from "../../quality/sets/bootstrap.js";
import type { Measured } from "../../quality/sets/measured.js";
import type { Arm } from "../result.js";
import type { Judges } from "./judges.js";
import { pictureName } from "./makePictures.js";
import type { SampledPictures } from "./pictureJob.js";

export interface MeasureOptions {
  readonly folder: string;
  readonly judges: Judges;
  readonly arms: readonly Arm[];
  /** metrics of trajectories are against its */
  readonly baseline: Arm;
  readonly trajectories: readonly Trajectory[];
  readonly sampled: ReadonlyMap<string, readonly SampledPictures[]>;
  readonly signal?: AbortSignal;
}

/** Setting's name → metric's name → what it is. */
export type MeasuredPictures = Readonly<Record<string, Readonly<Record<string, Measured>>>>;

/** Throws InvalidFileError for damaged pictures; ArgumentError for features of other widths; InterruptedError. */
export async function measurePictures(options: MeasureOptions): Promise<MeasuredPictures> {
  const { arms, baseline, trajectories } = options;
  const { distances, extractor, reference, scores, clip, ofTrajectory } = options.judges;
  const prompts = trajectories.map(({ prompt }) => prompt);
  const groups = groupedBy(prompts);
  const texts = scores.length === 0 ? undefined : featuresOf(await clip.embedTexts(prompts), clip.id);
  const pictureTower = { id: clip.id, embed: (pictures: readonly RgbImage[]) => clip.embedPictures(pictures) };
  const results: [string, Record<string, Measured>][] = [];
  for (const arm of arms) {
    const own: Record<string, Measured> = {};
    let features: Features | undefined;
    if (distances.length > 0) {
      features = await featuresOfArm(extractor, arm, options);
      await saveFeatures(
        join(options.folder, "features", `${arm.name}.safetensors`),
        features,
        pictureNamesOf(options),
      );
      for (const metric of distances)
        own[metric.name] = metric.measure({ features, reference: reference?.features }, { groups });
    }
    if (scores.length > 0) {
      if (features?.extractor !== clip.id) features = await featuresOfArm(pictureTower, arm, options);
      for (const metric of scores) own[metric.name] = metric.measure({ features, texts }, { groups });
    }
    if (arm !== baseline)
      for (const metric of ofTrajectory) own[metric.name] = await meanOver(metric, arm, options, groups);
    results.push([arm.name, own]);
  }
  return Object.fromEntries(results);
}

async function featuresOfArm(
  extractor: Pick<FeatureExtractor, "id" | "embed">,
  { name }: Arm,
  options: MeasureOptions,
): Promise<Features> {
  const { folder, signal } = options;
  return extractFolder(extractor, join(folder, name), pictureNamesOf(options), { signal });
}

function pictureNamesOf({ trajectories }: MeasureOptions): string[] {
  return trajectories.map((_, index) => pictureName(index));
}

/** The mean of a metric over all trajectories, each against the baseline's. */
async function meanOver(
  metric: TrajectoryMetric,
  arm: Arm,
  { folder, baseline, trajectories, sampled, judges: { lpips } }: MeasureOptions,
  groups: readonly (readonly number[])[],
): Promise<Measured> {
  const [own, others] = [arm, baseline].map(({ name }) => rowsOf(sampled.get(name) ?? []));
  const values: number[] = [];
  for (const row of trajectories.keys()) {
    const [picture, reference] = await Promise.all(
      [arm, baseline].map(({ name }) => readPicture(join(folder, name, pictureName(row)))),
    );
    values.push(
      await metric.measure({ latents: own[row], picture }, { latents: others[row], picture: reference }, lpips),
    );
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
