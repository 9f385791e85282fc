/** The fit of one block at one evaluation: sums of each batch and fold, then coefficients. */
import type { Block } from "../../graphs/block.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { IDENTITY } from "./adjustment.js";
import type { Adjustment, FittedCell, Term } from "./adjustment.js";
import { fitValidated } from "./crossValidation.js";
import type { CellSumsOptions } from "./cellSums.js";
import { mergeMoments, poolChannels } from "./moments.js";
import type { Moments } from "./moments.js";

/** An adjustment that grows while it is fitted. */
export interface Growing extends Adjustment {
  readonly report: Record<string, FittedCell[]>;
  readonly blocks: Record<string, { channels: number; terms: Partial<Record<Term, Float32Array>> }>;
}

export interface CellFitOptions extends Pick<CellSumsOptions, "terms" | "folds"> {
  /** those of the terms that are fitted; the others stay as they are */
  readonly fitted: readonly Term[];
  readonly per: "channel" | "block";
  /** batches that the trajectories are cut into */
  readonly batches: number;
}

export class CellFit {
  readonly #growing: Growing;
  readonly #options: CellFitOptions;
  /** [batch][fold], merged in this order, so that a fit does not hang on which batch came first */
  readonly #sums: Moments[][];

  constructor(growing: Growing, options: CellFitOptions) {
    this.#growing = growing;
    this.#options = options;
    this.#sums = Array.from({ length: options.batches }, () => []);
  }

  /** Adds the sums of a batch's maps (cellSums.ts), one for each fold. */
  add(batch: number, sums: Moments[]): void {
    this.#sums[batch] = sums;
  }

  /** Writes the coefficients of the block at the evaluation, and what they did. */
  finish({ id, channels }: Block, { index }: Evaluation): void {
    const { halves, blocks, report, schedule } = this.#growing;
    const { terms, fitted, per } = this.#options;
    const folds = Array.from({ length: this.#options.folds }, (_, fold) =>
      mergeMoments(this.#sums.map((each) => each[fold])),
    );
    const { coefficients, ridge, errors } = fitValidated(per === "block" ? folds.map(poolChannels) : folds, {
      start: terms.map((term) => IDENTITY[term]),
      fitted: [...terms.keys()].filter((place) => fitted.includes(terms[place])),
    });
    (report[id] ??= []).push({ evaluation: index, ridge, ...errors });
    const width = halves * channels;
    const identity = (term: Term): Float32Array =>
      new Float32Array(schedule.timesteps.length * width).fill(IDENTITY[term]);
    blocks[id] ??= { channels, terms: {} };
    terms.forEach((term, place) => {
      if (!fitted.includes(term)) return;
      const table = (blocks[id].terms[term] ??= identity(term));
      for (let channel = 0; channel < width; channel++)
        table[index * width + channel] = coefficients[(per === "block" ? 0 : channel) * terms.length + place];
    });
  }
}
