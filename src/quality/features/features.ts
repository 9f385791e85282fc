import { ArgumentError } from "../../errors.js";
import type { RgbImage } from "../../diffusion/image.js";
import type { FloatTensor } from "../../numerics/tensor.js";

/** Turns each picture into a row of numbers. */
export interface FeatureExtractor {
  /** `name sha256:…`: features of different extractors are never compared */
  readonly id: string;
  /** @returns [pictures, width] */
  embed(pictures: readonly RgbImage[]): Promise<FloatTensor>;
  dispose(): Promise<void>;
}

/** A row of numbers for each picture of a set. */
export interface Features {
  readonly pictures: number;
  /** numbers per picture */
  readonly width: number;
  /** [pictures, width] */
  readonly data: Float64Array;
  /** `name sha256:…` of what extracted them, where that is known */
  readonly extractor?: string;
}

/** Mean and covariance of a set's features: all that a Fréchet distance needs to know of it. */
export interface FeatureStatistics {
  /** how many pictures they were taken from */
  readonly pictures: number;
  readonly width: number;
  /** [width] */
  readonly mean: Float64Array;
  /** [width, width]; n − 1 in the denominator */
  readonly covariance: Float64Array;
  readonly extractor?: string;
}

/**
 * Throws ArgumentError where two sets cannot be compared: they differ in width or in extractor.
 *
 * @param least how many pictures each must have
 */
export function requireComparable(
  a: Pick<Features, "pictures" | "width" | "extractor">,
  b: Pick<Features, "pictures" | "width" | "extractor">,
  least: number,
): void {
  if (a.width !== b.width)
    throw new ArgumentError(
      `features: expected two sets of the same width, found ${a.width} and ${b.width} — they come from different extractors`,
    );
  if (a.extractor !== undefined && b.extractor !== undefined && a.extractor !== b.extractor)
    throw new ArgumentError(
      `features: expected two sets from the same extractor, found ${a.extractor} and ${b.extractor} — extract both with the same`,
    );
  const fewer = Math.min(a.pictures, b.pictures);
  if (fewer < least)
    throw new ArgumentError(
      `features: expected sets of ${least} pictures or more, found one of ${fewer} — make more pictures`,
    );
}

/** Some rows of a set, possibly repeated. */
export function selectRows({ width, data, extractor }: Features, rows: ArrayLike<number>): Features {
  const selected = new Float64Array(rows.length * width);
  for (let index = 0; index < rows.length; index++)
    selected.set(data.subarray(rows[index] * width, (rows[index] + 1) * width), index * width);
  return { pictures: rows.length, width, data: selected, extractor };
}

/** What an extractor gave for all pictures of a set. Throws ArgumentError where it is not finite. */
export function featuresOf({ dims: [pictures, width], data }: FloatTensor, extractor: string): Features {
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad !== -1)
    throw new ArgumentError(
      `features: expected finite numbers, found ${data[bad]} for picture ${Math.floor(bad / width)} — the extractor's weights are damaged, or it needs float32`,
    );
  return { pictures, width, data: Float64Array.from(data), extractor };
}
