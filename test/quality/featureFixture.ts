/** What test/fixtures/features.py computed. */
import { readFileSync } from "node:fs";
import type { RgbImage } from "../../src/diffusion/image.js";
import type { Features } from "../../src/quality/features/features.js";

type Pair = readonly [number, number];

interface SetsCase {
  readonly name: string;
  readonly dims: readonly [n: number, m: number, width: number];
  readonly groups: number[][];
  readonly a: string;
  readonly b: string;
  readonly frechet: number;
  readonly frechet_statistics: number;
  readonly frechet_unbiased: number | null;
  readonly kid: number;
  readonly cmmd: number;
  readonly cmmd_unbiased: number;
  readonly frechet_interval: Pair;
  readonly kid_interval: Pair;
  readonly cmmd_interval: Pair;
}

export const fixture = JSON.parse(readFileSync(new URL("../fixtures/features.json", import.meta.url), "utf8")) as {
  readonly resizes: readonly { from: Pair; to: Pair; filter: "bilinear" | "bicubic"; rgb: string }[];
  readonly cleaned: readonly { from: Pair; every101: string }[];
  readonly clips: Record<string, { texts: string[]; image: string; text: string; cosines: number[] }>;
  readonly inception: { readonly shapes: readonly Pair[]; readonly features: string };
  readonly lpips: number;
  readonly resamples: number;
  readonly sets: readonly SetsCase[];
};

export function bytes(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}

export function floats(base64: string): Float32Array {
  return new Float32Array(bytes(base64).buffer);
}

/** The same picture as features.py's. */
export function picture(width: number, height: number, kind: number): RgbImage {
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++)
        rgb[3 * (y * width + x) + c] = (x * (3 + kind) + y * 5 + c * 60 + ((x * y) >> (2 + kind))) % 256;
  return { width, height, rgb };
}

/** A set of the fixture as features. */
export function featuresFrom(base64: string, pictures: number, width: number): Features {
  return { pictures, width, data: Float64Array.from(floats(base64)) };
}

/** The largest difference ÷ the largest value. */
export function worst(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, largest] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    difference = Math.max(difference, Math.abs(found[index] - expected[index]));
    largest = Math.max(largest, Math.abs(expected[index]));
  }
  return found.length === expected.length ? difference / largest : Infinity;
}
