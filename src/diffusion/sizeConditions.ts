/** SDXL's conditioning on image sizes (Podell et al. 2023, section 2.2; diffusers' `_get_add_time_ids`). */
import { ArgumentError } from "../errors.js";

type Pair = readonly [height: number, width: number];

/** The image's size and crop, in pixels, as SDXL's network gets them. Other models have no such inputs. */
export interface SizeConditions {
  /** the size that the image would have had before it was scaled to this one. Default: the image's own */
  readonly originalSize?: Pair;
  /** Default: (0, 0), a well-centred image */
  readonly cropsCoordsTopLeft?: readonly [top: number, left: number];
  /** Default: the image's own */
  readonly targetSize?: Pair;
  /** The unconditional half gets other sizes only where both negative sizes are given. */
  readonly negativeOriginalSize?: Pair;
  readonly negativeTargetSize?: Pair;
  /** Default: (0, 0) */
  readonly negativeCropsCoordsTopLeft?: readonly [top: number, left: number];
}

/** Six numbers for each guidance half: original size, crop, target size. */
export interface TimeIds {
  readonly conditional: readonly number[];
  readonly unconditional: readonly number[];
}

const KEYS = [
  "originalSize",
  "cropsCoordsTopLeft",
  "targetSize",
  "negativeOriginalSize",
  "negativeTargetSize",
  "negativeCropsCoordsTopLeft",
] as const;

/**
 * The time ids of an image. Throws ArgumentError where one is not a pair of numbers.
 *
 * With several images and negative sizes, diffusers 0.42 gives the rows of the two halves in turn, which does not fit
 * the order of the text embeddings; here each half has its own rows together.
 */
export function timeIdsOf(given: SizeConditions, imageSize: Pair): TimeIds {
  for (const key of KEYS) {
    const pair: readonly unknown[] | undefined = given[key];
    if (
      pair !== undefined &&
      (!Array.isArray(pair) || pair.length !== 2 || !pair.every((value) => Number.isFinite(value)))
    ) {
      throw new ArgumentError(`${key}: expected two numbers of pixels, found ${JSON.stringify(pair)}`);
    }
  }
  const {
    originalSize = imageSize,
    cropsCoordsTopLeft = [0, 0],
    targetSize = imageSize,
    negativeOriginalSize,
    negativeTargetSize,
    negativeCropsCoordsTopLeft = [0, 0],
  } = given;
  const conditional = [...originalSize, ...cropsCoordsTopLeft, ...targetSize];
  if (negativeOriginalSize === undefined || negativeTargetSize === undefined)
    return { conditional, unconditional: conditional };
  return {
    conditional,
    unconditional: [...negativeOriginalSize, ...negativeCropsCoordsTopLeft, ...negativeTargetSize],
  };
}

/** Throws ArgumentError where a model that takes no size conditions is given one. */
export function refuseSizeConditions(given: SizeConditions): void {
  const key = KEYS.find((each) => given[each] !== undefined);
  if (key !== undefined)
    throw new ArgumentError(
      `${key}: this model takes no size conditions — SDXL does (addition_embed_type = "text_time")`,
    );
}
