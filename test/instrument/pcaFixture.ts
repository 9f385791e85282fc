import { readFileSync } from "node:fs";
import type { FloatTensor } from "../../src/numerics/tensor.js";

/** One case of test/fixtures/pca.json, written by test/fixtures/pca.py. */
export interface PcaCase {
  readonly dims: number[];
  readonly data: string;
  readonly mean: number[];
  readonly components: number[];
  readonly explained_variance: number[];
  readonly explained_variance_ratio: number[];
  readonly scores: number[];
  readonly percentiles: [number[], number[]];
}

interface PcaFixture {
  readonly cases: Record<string, PcaCase>;
  readonly procrustes: {
    readonly reference: PcaCase;
    readonly other: PcaCase;
    readonly rotation: number[];
    readonly aligned: number[];
    readonly aligned_variance: number[];
  };
}

export const fixture = JSON.parse(readFileSync(new URL("../fixtures/pca.json", import.meta.url), "utf8")) as PcaFixture;

export function tensorOf(pcaCase: PcaCase): FloatTensor {
  const bytes = Uint8Array.from(Buffer.from(pcaCase.data, "base64"));
  return { dims: pcaCase.dims, data: new Float32Array(bytes.buffer) };
}

/** max |a − b|; NaN where either is NaN. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new Error(`lengths differ: ${a.length} and ${b.length}`);
  return Math.max(...Array.from(a, (value, index) => Math.abs(value - b[index])));
}
