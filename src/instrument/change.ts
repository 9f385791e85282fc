/**
 * Change of a block's branch from one network evaluation to the next (paper section 3.1, Eq. 6):
 *
 *   L1rel(i, t) = ‖C_i(t) − C_i(t−1)‖₁ / ‖C_i(t)‖₁,   t in sampling order
 *
 * The sums are taken where the tensors are; four numbers a batch row come back. One branch a block is
 * kept from step to step.
 */
import type { Pipeline } from "../diffusion/pipeline.js";
import type { SamplingHook } from "../diffusion/samplingPlan.js";
import type { Evaluation } from "../runtime/observer.js";
import { release, retain } from "../runtime/ownership.js";
import type { DeviceTensor } from "../runtime/session.js";
import { rowSums } from "./changeSums.js";
import type { RowSums } from "./changeSums.js";
import type { Measure } from "./profile.js";

/** Change of one block at one evaluation, for one image. */
export type ChangeValues = Readonly<Record<Measure, number>>;

/** Receives the change of a block at an evaluation, one entry an image. */
export type ChangeListener = (id: string, step: number, images: readonly ChangeValues[]) => void;

/** Nothing has changed yet at the first evaluation. */
const FIRST: ChangeValues = { change: 0, change_cond: 0, change_uncond: 0, change_l2: 0, cosine: 1 };

/** A sampling hook that measures the change of the layer blocks it is given (default: all). */
export function changeMeter(pipeline: Pipeline, listener: ChangeListener, blocks?: ReadonlySet<string>): SamplingHook & { dispose(): void } {
  const kept = new Map<string, { readonly branch: DeviceTensor; sums?: readonly RowSums[] }>();

  return {
    wants(block) {
      return { branch: blocks?.has(block.id) ?? true, out: false };
    },
    async computed(block, { branch }, evaluation) {
      const before = evaluation.index === 0 ? undefined : kept.get(block.id);
      // The first evaluation has nothing to compare with; its squares are needed at the second.
      const sums = await rowSums(pipeline.device, branch, before?.branch ?? branch);
      const values = Array.from({ length: evaluation.images }, (_, image) => (before?.sums === undefined ? FIRST : changeOf(sums, before.sums, image, evaluation)));
      const previous = kept.get(block.id);
      if (previous) release(previous.branch);
      kept.set(block.id, { branch: retain(branch), sums });
      listener(block.id, evaluation.index, values);
      return undefined;
    },
    dispose() {
      for (const { branch } of kept.values()) release(branch);
      kept.clear();
    },
  };
}

function changeOf(sums: readonly RowSums[], before: readonly RowSums[], image: number, { images, guided }: Evaluation): ChangeValues {
  if (!guided) {
    const change = relativeL1([sums[image]]);
    return { change, change_cond: change, change_uncond: 0, change_l2: relativeL2([sums[image]]), cosine: cosine([sums[image]], [before[image]]) };
  }
  const [unconditional, conditional] = [sums[image], sums[images + image]];
  const both = [unconditional, conditional];
  return {
    change: relativeL1(both),
    change_cond: relativeL1([conditional]),
    change_uncond: relativeL1([unconditional]),
    change_l2: relativeL2(both),
    cosine: cosine(both, [before[image], before[images + image]]),
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
