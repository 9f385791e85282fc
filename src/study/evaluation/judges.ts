/** What judges an evaluation's pictures, opened before any is made: what is missing is said then. */
import { basename, join } from "node:path";
import { ArgumentError } from "../../errors.js";
import { openDevice } from "../../engine/device.js";
import { ClipModel } from "../../quality/features/clipModel.js";
import { DEFAULT_EXTRACTOR, locate, openExtractor } from "../../quality/features/extractor.js";
import { loadFeaturesOrStatistics } from "../../quality/features/featureFile.js";
import type { FeatureExtractor, FeatureStatistics, Features } from "../../quality/features/features.js";
import { openLpips } from "../../quality/features/lpips.js";
import type { Lpips } from "../../quality/features/lpips.js";
import type { Metric, SetMetric, TrajectoryMetric } from "../../quality/metrics.js";

export interface JudgeOptions {
  /** extracts the features of Fréchet distance, KID and CMMD. Default: fluent-clip */
  readonly extractor?: string;
  /** a CLIP folder, for the CLIP score. Default: fluent-clip */
  readonly clip?: string;
  /** a file of features, or of their statistics. Default with fluent-clip: its training pictures of the 3D style */
  readonly reference?: string;
  /** weights of LPIPS, for the metric of that name: what `openLpips` takes */
  readonly lpips?: string;
}

export interface Judges {
  /** metrics that compare a set with the reference */
  readonly distances: readonly SetMetric[];
  readonly extractor: FeatureExtractor;
  readonly reference?: { readonly name: string; readonly features: Features | FeatureStatistics };
  /** metrics that compare a set with its prompts */
  readonly scores: readonly SetMetric[];
  readonly clip: ClipModel;
  readonly ofTrajectory: readonly TrajectoryMetric[];
  readonly lpips?: Lpips;
  dispose(): Promise<void>;
}

/** Statistics of fluent-clip's training pictures, in its folder. */
const DEFAULT_REFERENCE = "pictures-3d.safetensors";

/**
 * Opens what the metrics need.
 *
 * @param pictures that each setting will have
 * @throws ArgumentError where something is missing or does not go together; InvalidFileError, UnsupportedError for what
 *   is wrong in a file
 */
export async function openJudges(
  metrics: readonly Metric[],
  pictures: number,
  {
    extractor: model = DEFAULT_EXTRACTOR,
    clip: clipModel = DEFAULT_EXTRACTOR,
    reference: file,
    lpips: lpipsFile,
  }: JudgeOptions,
): Promise<Judges> {
  const sets = metrics.filter((metric) => metric.of === "set");
  const distances = sets.filter(({ needs }) => needs !== "prompts");
  const ofExtractor = model === DEFAULT_EXTRACTOR ? join(locate(model), DEFAULT_REFERENCE) : undefined;
  const referenceFile = file ?? ofExtractor;
  const ofTrajectory = metrics.filter((metric) => metric.of === "trajectory");
  const needsLpips = ofTrajectory.some(({ needs }) => needs === "lpips weights");
  if (needsLpips && lpipsFile === undefined)
    throw new ArgumentError("lpips: expected a file of its weights for the metric lpips, found none");
  const device = await openDevice();
  const clip = await ClipModel.open(locate(clipModel), device);
  const extractor = await openExtractor(model);
  const lpips = needsLpips && lpipsFile !== undefined ? await openLpips(lpipsFile) : undefined;
  const judges = {
    distances,
    extractor,
    scores: sets.filter(({ needs }) => needs === "prompts"),
    clip,
    ofTrajectory,
    lpips,
    async dispose() {
      await lpips?.dispose();
      await extractor.dispose();
      await clip.dispose();
    },
  };
  if (distances.length === 0) return judges;
  try {
    return { ...judges, reference: await openReference(referenceFile, distances, extractor.id, pictures) };
  } catch (error) {
    await judges.dispose();
    throw error;
  }
}

async function openReference(
  file: string | undefined,
  distances: readonly SetMetric[],
  extractor: string,
  pictures: number,
): Promise<Judges["reference"]> {
  const names = distances.map(({ name }) => name).join(", ");
  const how = "`blockcache features` with the same extractor makes it";
  if (file === undefined)
    throw new ArgumentError(`reference: expected a file of features for ${names}, found none — ${how}`);
  if (pictures < 2)
    throw new ArgumentError(`prompts, seeds: expected two pictures or more for ${names}, found ${pictures}`);
  const features = await loadFeaturesOrStatistics(file);
  if (features.extractor !== undefined && features.extractor !== extractor)
    throw new ArgumentError(`reference: expected features by ${extractor}, found ${features.extractor} — ${how}`);
  const whole = distances.find(({ needs }) => needs === "reference features");
  if (whole !== undefined && !("data" in features))
    throw new ArgumentError(
      `reference: expected the features of each picture for ${whole.name}, found their mean and covariance in ${file} — ${how}`,
    );
  return { name: basename(file), features };
}
