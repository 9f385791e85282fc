/**
 * Resizing as Pillow does it (libImaging/Resample.c): rows first, then columns, with a filter that is widened where the
 * picture shrinks, to avoid aliasing. sharp's own filters give other numbers.
 */
import type { RgbImage } from "../../diffusion/image.js";
import type { ResizeFilter } from "../../models/configs/imageProcessor.js";

/** Interleaved R G B of any range, rows from the top. */
export interface FloatImage {
  readonly width: number;
  readonly height: number;
  readonly rgb: Float32Array;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Keys' cubic with a = −0.5, and the triangle. */
const FILTERS: Readonly<Record<ResizeFilter, { readonly support: number; readonly at: (x: number) => number }>> = {
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: {
    support: 2,
    at(x) {
      const a = -0.5;
      const t = Math.abs(x);
      if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
    },
  },
};

/** Pillow keeps the weights for 8-bit pictures as integers with this many fraction bits (22). */
const FRACTION = 2 ** 22;

/** Equal, byte for byte, to Pillow's `Image.resize((width, height), resample)` of an RGB picture. */
export function resizeBytes({ width, height, rgb }: RgbImage, size: Size, filter: ResizeFilter): RgbImage {
  const rounded = (weight: number): number => Math.trunc(weight * FRACTION + (weight < 0 ? -0.5 : 0.5));
  const toByte = (sum: number): number => Math.min(255, Math.max(0, Math.floor((sum + FRACTION / 2) / FRACTION)));
  const resized = resizeBothWays(rgb, { width, height }, size, (length, wanted) =>
    tapsOf(length, wanted, filter).map(({ first, weights }) => ({ first, weights: weights.map(rounded) })),
  )((length) => new Uint8Array(length), toByte);
  return { ...size, rgb: resized };
}

/** Equal to Pillow's resize of each channel as a float32 picture (mode F): nothing is rounded or clipped in between. */
export function resizeFloats({ width, height, rgb }: RgbImage, size: Size, filter: ResizeFilter): FloatImage {
  const resized = resizeBothWays(Float32Array.from(rgb), { width, height }, size, (length, wanted) =>
    tapsOf(length, wanted, filter),
  )(
    (length) => new Float32Array(length),
    (sum) => sum,
  );
  return { ...size, rgb: resized };
}

/** What one result is a weighted sum of: the neighbours starting at `first`. */
interface Taps {
  readonly first: number;
  readonly weights: readonly number[];
}

function tapsOf(length: number, wanted: number, filter: ResizeFilter): Taps[] {
  const { support, at } = FILTERS[filter];
  const scale = length / wanted;
  const widening = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support * widening + 0.5));
    const end = Math.min(length, Math.trunc(centre + support * widening + 0.5));
    const weights = Array.from({ length: end - first }, (_, tap) => at((first + tap - centre + 0.5) / widening));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

type Numbers = Uint8Array | Float32Array;

/** An axis that keeps its length is left alone, as in Pillow. */
function resizeBothWays(rgb: Numbers, from: Size, to: Size, taps: (length: number, wanted: number) => Taps[]) {
  return <N extends Numbers>(create: (length: number) => N, round: (sum: number) => number): N => {
    const wide =
      from.width === to.width
        ? rgb
        : resizeAxis(rgb, from.height, from.width, 3, taps(from.width, to.width), create, round);
    const high =
      from.height === to.height
        ? wide
        : resizeAxis(wide, 1, from.height, 3 * to.width, taps(from.height, to.height), create, round);
    const result = create(high.length);
    result.set(high);
    return result;
  };
}

/** [outer, length, inner] → [outer, taps, inner] */
function resizeAxis<N extends Numbers>(
  values: Numbers,
  outer: number,
  length: number,
  inner: number,
  taps: readonly Taps[],
  create: (length: number) => N,
  round: (sum: number) => number,
): N {
  const result = create(outer * taps.length * inner);
  for (let block = 0; block < outer; block++) {
    taps.forEach(({ first, weights }, index) => {
      const target = (block * taps.length + index) * inner;
      for (let column = 0; column < inner; column++) {
        let sum = 0;
        let source = (block * length + first) * inner + column;
        for (const weight of weights) {
          sum += weight * values[source];
          source += inner;
        }
        result[target + column] = round(sum);
      }
    });
  }
  return result;
}
