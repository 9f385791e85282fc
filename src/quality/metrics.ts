/** Every metric by name: what it measures, what it needs, and which direction is better. */
import { ArgumentError } from "../errors.js";
import type { RgbImage } from "../diffusion/image.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { psnr, relativeDistances } from "./distance.js";
import type { FeatureStatistics, Features } from "./features/features.js";
import type { Lpips } from "./features/lpips.js";
import type { ResamplingOptions } from "./sets/bootstrap.js";
import { clipScore } from "./sets/clipScore.js";
import { frechetDistance } from "./sets/frechet.js";
import { clipDiscrepancy, kernelInceptionDistance } from "./sets/kernelDistance.js";
import type { Measured } from "./sets/measured.js";
import { ssim } from "./ssim.js";

interface MetricHead {
  readonly name: string;
  /** for people */
  readonly title: string;
  readonly betterWhen: "higher" | "lower";
}

/** One trajectory's result. */
export interface SampledPicture {
  /** final [1, channels, height, width] */
  readonly latents: FloatTensor;
  readonly picture: RgbImage;
}

/** A metric of one trajectory, against the same trajectory in another setting. */
export interface TrajectoryMetric extends MetricHead {
  readonly of: "trajectory";
  /** absent: the two results are enough */
  readonly needs?: "lpips weights";
  /** Throws ArgumentError where what it needs is missing, or the sizes differ. */
  readonly measure: (sampled: SampledPicture, reference: SampledPicture, lpips?: Lpips) => Promise<number>;
}

/** The pictures of one setting, as features. */
export interface PictureSet {
  readonly features: Features;
  /** the prompt of each picture, as features of the same CLIP */
  readonly texts?: Features;
  /** reference pictures (what the model should produce): a set of them, or its statistics */
  readonly reference?: Features | FeatureStatistics;
}

/** A metric of a set of pictures. */
export interface SetMetric extends MetricHead {
  readonly of: "set";
  /**
   * `reference features`: the features of a set; `reference statistics`: either those, or only their mean and
   * covariance
   */
  readonly needs: "reference statistics" | "reference features" | "prompts";
  /** Throws ArgumentError where what it needs is missing, or does not fit. */
  readonly measure: (set: PictureSet, options?: ResamplingOptions) => Measured;
}

export type Metric = TrajectoryMetric | SetMetric;

/** The metrics of one trajectory, in the order of tables' columns. */
export const TRAJECTORY_METRICS: readonly TrajectoryMetric[] = [
  {
    name: "latent",
    title: "relative L2 of the final latents",
    betterWhen: "lower",
    of: "trajectory",
    measure: async ({ latents }, reference) => relativeDistances(latents, reference.latents)[0],
  },
  {
    name: "psnr",
    title: "PSNR, dB",
    betterWhen: "higher",
    of: "trajectory",
    measure: async ({ picture }, reference) => psnr(picture, reference.picture),
  },
  {
    name: "ssim",
    title: "SSIM",
    betterWhen: "higher",
    of: "trajectory",
    measure: async ({ picture }, reference) => ssim(picture, reference.picture),
  },
  {
    name: "lpips",
    title: "LPIPS",
    betterWhen: "lower",
    of: "trajectory",
    needs: "lpips weights",
    measure: async ({ picture }: SampledPicture, reference: SampledPicture, lpips?: Lpips): Promise<number> => {
      if (lpips === undefined)
        throw new ArgumentError("lpips: expected the weights of LPIPS, found none — `openLpips(file)`");
      return lpips.distance(picture, reference.picture);
    },
  },
];

/** The metrics of a set of pictures, in the order of tables' columns. */
export const SET_METRICS: readonly SetMetric[] = [
  {
    name: "frechet",
    title: "Fréchet distance",
    betterWhen: "lower",
    of: "set",
    needs: "reference statistics",
    measure: ({ features, reference }, options) => frechetDistance(features, required("frechet", reference), options),
  },
  {
    name: "kid",
    title: "KID",
    betterWhen: "lower",
    of: "set",
    needs: "reference features",
    measure: ({ features, reference }, options) =>
      kernelInceptionDistance(features, picturesOf("kid", reference), options),
  },
  {
    name: "cmmd",
    title: "CMMD",
    betterWhen: "lower",
    of: "set",
    needs: "reference features",
    measure: ({ features, reference }, options) => clipDiscrepancy(features, picturesOf("cmmd", reference), options),
  },
  {
    name: "clip-score",
    title: "CLIP score",
    betterWhen: "higher",
    of: "set",
    needs: "prompts",
    measure: ({ features, texts }, options) => clipScore(features, required("clip-score", texts), options),
  },
];

export const METRICS: readonly Metric[] = [...SET_METRICS, ...TRAJECTORY_METRICS];

/** A metric by its name. Throws ArgumentError for an unknown one. */
export function metricNamed(name: string): Metric {
  const metric = METRICS.find((each) => each.name === name);
  if (metric === undefined)
    throw new ArgumentError(`metric: expected ${METRICS.map((each) => each.name).join(", ")}, found "${name}"`);
  return metric;
}

function required<Part>(name: string, part: Part | undefined): Part {
  if (part === undefined)
    throw new ArgumentError(
      `${name}: expected ${name === "clip-score" ? "the prompts as features of a CLIP" : "features of reference pictures"}, found none`,
    );
  return part;
}

function picturesOf(name: string, reference: PictureSet["reference"]): Features {
  const given = required(name, reference);
  if (!("data" in given))
    throw new ArgumentError(
      `${name}: expected the features of each reference picture, found their mean and covariance only — \`blockcache features\` extracts them`,
    );
  return given;
}
