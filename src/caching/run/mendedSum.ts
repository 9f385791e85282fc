/** A stand-in for C, corrected ("mended") by coefficients for each channel (adjustment.ts has the terms). */
import { hasMerge } from "../../graphs/block.js";
import type { Block } from "../../graphs/block.js";
import type { Evaluation } from "../../engine/network/observer.js";
import type { StandIn } from "../../engine/network/standIn.js";
import type { Tensor } from "../../engine/tensor.js";
import { IDENTITY } from "../adjustment/adjustment.js";
import type { Term } from "../adjustment/adjustment.js";

/** What a stand-in can be made of at one evaluation. */
export interface StandInParts {
  /** computed values of C, oldest first; each with the block's input at that time, where it is kept */
  readonly kept: readonly { readonly branch: Tensor; readonly input?: Tensor }[];
  /** the reuse rule's weights, one for each of the last values of `kept` */
  readonly weights: readonly number[];
  /** the block's input now */
  readonly input?: Tensor;
}

/** The numbers of each term that differs from {@link IDENTITY}: [halves, channels] */
export type Coefficients = Readonly<Partial<Record<Term, Float32Array>>>;

/** Says, during a run, how stand-ins are corrected. */
export interface Mender {
  /** the terms that it may use: they decide what is kept */
  readonly terms: readonly Term[];
  /** undefined where the stand-in stays as the reuse rule makes it */
  coefficients(block: Block, evaluation: Evaluation, parts: StandInParts): Promise<Coefficients | undefined>;
}

/**
 * Whether the change of a block's input says something about each channel of its C: it does where both have the same
 * channels.
 */
export function followsInput(block: Block): boolean {
  return hasMerge(block) && block.inputs[0].dims[1] === block.channels;
}

/** The corrected stand-in: one weighted sum over what it is made of. */
export function mendedSum(
  { kept, weights, input }: StandInParts,
  coefficients: Coefficients,
  channels: number,
  evaluation: Evaluation,
): StandIn {
  const of = (term: Term, index: number): number => coefficients[term]?.[index] ?? IDENTITY[term];
  const broadcast = (value: (index: number) => number): Float32Array =>
    overRows(
      Float32Array.from({ length: widthOf(coefficients) }, (_, index) => value(index)),
      channels,
      evaluation,
    );
  const newest = kept.length - 1;
  const terms = kept.map(({ branch }, place): { tensor: Tensor; weight: Float32Array } => {
    const age = newest - place;
    const weight = weights[weights.length - 1 - age] ?? 0;
    return {
      tensor: branch,
      weight: broadcast((index) => {
        const [change, earlier] = [of("change", index), of("earlier_change", index)];
        // K₁ − K₂ and K₂ − K₃, where that many are kept.
        const first = newest >= 1 ? ([change, -change, 0][age] ?? 0) : 0;
        const second = newest >= 2 ? ([0, earlier, -earlier][age] ?? 0) : 0;
        return of("scale", index) * weight + first + second;
      }),
    };
  });
  const before = kept[newest].input;
  if (coefficients.input_change !== undefined && input !== undefined && before !== undefined)
    terms.push(
      { tensor: input, weight: broadcast((index) => of("input_change", index)) },
      { tensor: before, weight: broadcast((index) => -of("input_change", index)) },
    );
  const read = terms.filter(({ weight }) => weight.some((value) => value !== 0));
  return {
    terms: read.length === 0 ? terms.slice(0, 1) : read,
    ...(coefficients.shift === undefined ? {} : { shift: broadcast((index) => of("shift", index)) }),
  };
}

function widthOf(coefficients: Coefficients): number {
  return Math.max(...Object.values(coefficients).map(({ length }) => length));
}

/** [halves, channels] → a number for each channel, or for each row and channel; without guidance the conditional half's. */
function overRows(values: Float32Array, channels: number, { images, guided }: Evaluation): Float32Array {
  if (values.length === channels) return values;
  const conditional = values.subarray(channels);
  if (!guided) return conditional;
  const data = new Float32Array(2 * images * channels);
  for (let row = 0; row < 2 * images; row++)
    data.set(row < images ? values.subarray(0, channels) : conditional, row * channels);
  return data;
}
