/**
 * Change of a block's branch from one network evaluation to the next (paper section 3.1, Eq. 6):
 *
 *   L1rel(i, t) = ‖C_i(t) − C_i(t−1)‖₁ / ‖C_i(t)‖₁,   t in sampling order
 *
 * The sums are taken where the tensors are; four numbers per batch row come back. From step to step one branch of each
 * block is kept; for change between all pairs of steps within a window, as many branches as the window.
 */
import type { SampledModel, SamplingHook } from "../../diffusion/samplingHook.js";
import { KeptBranches } from "../../engine/keptBranches.js";
import { dropSums, readSums, startSums, total } from "./changeSums.js";
import type { RowSums, StartedSums } from "./changeSums.js";
import type { Measure } from "../profile/profile.js";

/** Change of one block at one evaluation, for one image. */
export type ChangeValues = Readonly<Record<Measure, number>>;

/**
 * Receives, when an evaluation is complete, the change of each block in execution order, one entry for each image; and the
 * relative L1 against the evaluation k before, for k = 1 … window, as far as there are such evaluations: [image][k −
 * 1].
 */
export type ChangeListener = (
  id: string,
  step: number,
  images: readonly ChangeValues[],
  pairs: readonly (readonly number[])[],
) => void;

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

/** A block's sums at one evaluation, read once the evaluation has ended. */
interface Noted {
  sums?: RowSums;
}

/** A block's sums against each kept branch, or against itself where there is none yet. */
interface Compared {
  readonly id: string;
  readonly started: readonly StartedSums[];
  readonly now: Noted;
  /** of the evaluation before */
  readonly before?: Noted;
}

/** Measures the change of the layer blocks' branches while sampling. */
export function changeMeter(
  { network: { blocks, device } }: Pick<SampledModel, "network">,
  listener: ChangeListener,
  { pairWindow = 1 }: ChangeMeterOptions = {},
): ChangeMeter {
  // Parts inside transformers run as blocks of their own where another hook looks at them.
  const layerBlocks = new Set(blocks.map(({ id }) => id));
  const kept = new KeptBranches<Noted>(pairWindow);
  const compared: Compared[] = [];

  return {
    get peakBytes() {
      return kept.peakBytes;
    },
    answer({ id }) {
      return layerBlocks.has(id) ? { look: ["branch"] } : "compute";
    },
    async look({ id }, { branch }, { index }) {
      if (branch === undefined) return undefined;
      if (index === 0) kept.drop(id);
      const before = [...kept.of(id)].reverse();
      const started: StartedSums[] = [];
      const now: Noted = {};
      compared.push({ id, started, now, before: before.at(0)?.note });
      // The first evaluation has nothing to compare with; its squares are needed at the second.
      for (const earlier of before.length === 0 ? [branch] : before.map((each) => each.branch))
        started.push(await startSums(device, branch, earlier));
      kept.keep(id, branch, now);
      return undefined;
    },
    // All blocks together: between two blocks' runs this code is slower, since the processor's caches no longer hold
    // it.
    async evaluated({ index, images, guided }) {
      const rows = Array.from({ length: images }, (_, image) => (guided ? [image, images + image] : [image]));
      const ended = compared.splice(0);
      const read = await readSums(
        device,
        ended.flatMap(({ started }) => started),
      );
      for (const { id, started, now, before: { sums: before } = {} } of ended) {
        const sums = read.splice(0, started.length);
        [now.sums] = sums;
        if (before === undefined)
          listener(
            id,
            index,
            rows.map(() => ({ ...FIRST })),
            rows.map(() => []),
          );
        else
          listener(
            id,
            index,
            rows.map((each) => changeOf(sums[0], before, each)),
            rows.map((each) => sums.map((earlier) => relativeL1(earlier, each))),
          );
      }
    },
    end() {
      dropSums(compared.splice(0).flatMap(({ started }) => started));
    },
    dispose() {
      kept.clear();
    },
  };
}

/** @param rows of one image: with guidance one of each half, the unconditional first */
function changeOf(sums: RowSums, before: RowSums, rows: readonly number[]): ChangeValues {
  return {
    change: relativeL1(sums, rows),
    change_cond: relativeL1(sums, rows.slice(-1)),
    change_uncond: rows.length === 2 ? relativeL1(sums, rows.slice(0, 1)) : 0,
    change_l2: Math.sqrt(ratio(total(sums, rows, "squaredDifference"), total(sums, rows, "squared"))),
    cosine: cosine(sums, before, rows),
  };
}

function relativeL1(sums: RowSums, rows: readonly number[]): number {
  return ratio(total(sums, rows, "absoluteDifference"), total(sums, rows, "absolute"));
}

/** ⟨C(t), C(t−1)⟩ from the squares: 2⟨a, b⟩ = ‖a‖² + ‖b‖² − ‖a − b‖². */
function cosine(sums: RowSums, before: RowSums, rows: readonly number[]): number {
  const [now, then] = [total(sums, rows, "squared"), total(before, rows, "squared")];
  if (now === 0 || then === 0) return now === then ? 1 : 0;
  return (now + then - total(sums, rows, "squaredDifference")) / (2 * Math.sqrt(now * then));
}

/** A branch that is zero and stays so has not changed. */
function ratio(difference: number, size: number): number {
  return difference === 0 ? 0 : difference / size;
}
