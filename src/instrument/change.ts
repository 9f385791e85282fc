/**
 * Change of a block's branch from one network evaluation to the next (paper section 3.1, Eq. 6):
 *
 *   L1rel(i, t) = ‖C_i(t) − C_i(t−1)‖₁ / ‖C_i(t)‖₁,   t in sampling order
 *
 * The sums are taken where the tensors are; four numbers a batch row come back. One branch a block is
 * kept from step to step; for change between all pairs of steps within a window, as many as the window.
 */
import type { Pipeline } from "../diffusion/pipeline.js";
import type { SamplingHook } from "../diffusion/samplingPlan.js";
import type { Evaluation } from "../runtime/observer.js";
import { HeldTensors } from "../runtime/heldTensors.js";
import type { DeviceTensor } from "../runtime/session.js";
import { rowSums } from "./changeSums.js";
import type { RowSums } from "./changeSums.js";
import type { Measure } from "./profile.js";

/** Change of one block at one evaluation, for one image. */
export type ChangeValues = Readonly<Record<Measure, number>>;

/**
 * Receives the change of a block at an evaluation, one entry an image; and the relative L1 against the
 * evaluation k before, for k = 1 … window, as far as there are any: [image][k − 1].
 */
export type ChangeListener = (id: string, step: number, images: readonly ChangeValues[], pairs: readonly (readonly number[])[]) => void;

export interface ChangeMeterOptions {
  /** how many evaluations back change is measured. Default: 1 */
  readonly pairWindow?: number;
}

/** A sampling hook that measures change. */
export interface ChangeMeter extends SamplingHook {
  /** most bytes of kept branches at any time */
  readonly peakBytes: number;
  dispose(): void;
}

/** Nothing has changed yet at the first evaluation. */
const FIRST: ChangeValues = { change: 0, change_cond: 0, change_uncond: 0, change_l2: 0, cosine: 1 };

interface Kept {
  readonly branch: DeviceTensor;
  readonly sums: readonly RowSums[];
}

/** Measures the change of the layer blocks' branches while sampling. */
export function changeMeter(pipeline: Pipeline, listener: ChangeListener, { pairWindow = 1 }: ChangeMeterOptions = {}): ChangeMeter {
  // Parts inside of transformers run on their own where another hook looks at them.
  const layerBlocks = new Set(pipeline.network.blocks.map(({ id }) => id));
  /** newest first, at most pairWindow of them */
  const kept = new Map<string, readonly Kept[]>();
  const held = new HeldTensors();

  return {
    get peakBytes() {
      return held.peakBytes;
    },
    wants(block) {
      return { branch: layerBlocks.has(block.id), out: false };
    },
    async computed(block, { branch }, evaluation) {
      if (evaluation.index === 0) {
        for (const each of kept.get(block.id) ?? []) held.release(each.branch);
        kept.delete(block.id);
      }
      const before = kept.get(block.id) ?? [];
      const compared: (readonly RowSums[])[] = [];
      // The first evaluation has nothing to compare with; its squares are needed at the second.
      for (const earlier of before.length === 0 ? [branch] : before.map((each) => each.branch)) compared.push(await rowSums(pipeline.device, branch, earlier));
      const images = Array.from({ length: evaluation.images }, (_, image) => (before.length === 0 ? FIRST : changeOf(compared[0], before[0].sums, image, evaluation)));
      const pairs = images.map((_, image) => (before.length === 0 ? [] : compared.map((sums) => relativeL1(rowsOf(sums, image, evaluation)))));
      for (const oldest of before.slice(pairWindow - 1)) held.release(oldest.branch);
      kept.set(block.id, [{ branch: held.retain(branch), sums: compared[0] }, ...before.slice(0, pairWindow - 1)]);
      listener(block.id, evaluation.index, images, pairs);
      return undefined;
    },
    dispose() {
      for (const { branch } of [...kept.values()].flat()) held.release(branch);
      kept.clear();
    },
  };
}

/** An image's rows: with guidance, one of each half. */
function rowsOf(sums: readonly RowSums[], image: number, { images, guided }: Evaluation): readonly RowSums[] {
  return guided ? [sums[image], sums[images + image]] : [sums[image]];
}

function changeOf(sums: readonly RowSums[], before: readonly RowSums[], image: number, evaluation: Evaluation): ChangeValues {
  const both = rowsOf(sums, image, evaluation);
  return {
    change: relativeL1(both),
    change_cond: relativeL1(both.slice(-1)),
    change_uncond: evaluation.guided ? relativeL1(both.slice(0, 1)) : 0,
    change_l2: relativeL2(both),
    cosine: cosine(both, rowsOf(before, image, evaluation)),
  };
}

function total(rows: readonly RowSums[], key: keyof RowSums): number {
  return rows.reduce((sum, row) => sum + row[key], 0);
}

function relativeL1(rows: readonly RowSums[]): number {
  return ratio(total(rows, "absoluteDifference"), total(rows, "absolute"));
}

function relativeL2(rows: readonly RowSums[]): number {
  return Math.sqrt(ratio(total(rows, "squaredDifference"), total(rows, "squared")));
}

/** ⟨C(t), C(t−1)⟩ from the squares: 2⟨a, b⟩ = ‖a‖² + ‖b‖² − ‖a − b‖². */
function cosine(rows: readonly RowSums[], before: readonly RowSums[]): number {
  const [now, then] = [total(rows, "squared"), total(before, "squared")];
  if (now === 0 || then === 0) return now === then ? 1 : 0;
  return (now + then - total(rows, "squaredDifference")) / (2 * Math.sqrt(now * then));
}

/** A branch that is zero and stays so has not changed. */
function ratio(difference: number, size: number): number {
  return difference === 0 ? 0 : difference / size;
}
