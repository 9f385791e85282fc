/** The fit of one block at one evaluation: sums of each batch and fold, then coefficients. */
import type { Block } from "../../graphs/block.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { IDENTITY } from "./adjustment.js";
import type { Adjustment, FittedCell, Term } from "./adjustment.js";
import { fitValidated } from "./crossValidation.js";
import { squaredError } from "./leastSquares.js";
import { addMaps, addWeighted, emptyMoments, mergeMoments, poolChannels } from "./moments.js";
import type { Moments, Quantity } from "./moments.js";
import { guidedMap } from "./regressors.js";

/** An adjustment that grows while it is fitted. */
export interface Growing extends Adjustment {
  readonly report: Record<string, FittedCell[]>;
  readonly blocks: Record<string, { channels: number; terms: Partial<Record<Term, Float32Array>> }>;
}

/** How the guidance halves are fitted. */
export const FIT_HALVES = ["balanced", "guided", "together", "apart"] as const;
export type FitHalves =
  /** both have the same coefficients, fitted to what guidance makes of the halves and, with less weight
      ({@link HALVES_WEIGHT}), to the halves: the former alone leaves errors free that cancel in it, and they do not
      where blocks that follow are not linear */
  | "balanced"
  /** both have the same coefficients, fitted to what guidance makes of the halves: their difference counts most there */
  | "guided"
  /** both have the same coefficients, fitted to both alike */
  | "together"
  /** each has its own */
  | "apart";

/**
 * Weight of the halves beside what guidance makes of them, each in shares of its own error. By trial on the embedded
 * model at δ 0.4: without the halves some prompts end farther from the plain run than without an adjustment; with as much
 * weight as the combination a quarter less is removed; 0.1 removes a little more than this, and harms the tail.
 */
const HALVES_WEIGHT = 0.25;

export interface CellFitOptions {
  readonly terms: readonly Term[];
  readonly halves: FitHalves;
  readonly per: "channel" | "block";
  /** parts that the prompts are cut into; each is held out once */
  readonly folds: number;
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

  /**
   * Adds a batch's maps to its sums.
   *
   * @param maps one for each term, then the teacher's C
   * @param folds that each image of the batch is in
   */
  add(
    batch: number,
    { channels }: Block,
    evaluation: Evaluation,
    maps: readonly Quantity[],
    folds: readonly number[],
  ): void {
    const { images } = evaluation;
    const { halves } = this.#growing;
    const start = this.#options.terms.map((term) => IDENTITY[term]);
    const unchanged = Float64Array.from(
      { length: halves * channels * start.length },
      (_, index) => start[index % start.length],
    );
    const sums = Array.from({ length: this.#options.folds }, () => emptyMoments(maps.length, halves * channels));
    for (const { values, rows, weight } of this.#fitted(maps, evaluation)) {
      // Of the halves' own coefficients, the conditional ones come second; without guidance there are no others.
      const firstChannel = (row: number): number => (rows === images || row >= images ? (halves - 1) * channels : 0);
      for (let image = 0; image < images; image++) {
        const own = emptyMoments(maps.length, halves * channels);
        const places = new Map(
          (rows === images ? [image] : [image, images + image]).map((row) => [row, firstChannel(row)]),
        );
        addMaps(own, values, { rows, width: channels, firstChannel: places });
        // Each trajectory counts by the share of its own error that is removed: those that caching harms most would
        // otherwise be mended at the others' cost.
        const error = squaredError(own, unchanged);
        if (error > 0) addWeighted(sums[folds[image]], own, weight / error);
      }
    }
    this.#sums[batch] = sums;
  }

  /** What is fitted: maps, and how many rows they have. */
  #fitted(
    maps: readonly Quantity[],
    { images, guided }: Evaluation,
  ): { values: readonly Quantity[]; rows: number; weight: number }[] {
    const { halves } = this.#options;
    const asTheyAre = { values: maps, rows: guided ? 2 * images : images, weight: 1 };
    if (!guided || halves === "together" || halves === "apart") return [asTheyAre];
    const { guidance_scale } = this.#growing.schedule;
    const combined = { values: maps.map((map) => guidedMap(map, guidance_scale)), rows: images, weight: 1 };
    return halves === "guided" ? [combined] : [{ ...asTheyAre, weight: HALVES_WEIGHT }, combined];
  }

  /** Writes the coefficients of the block at the evaluation, and what they did. */
  finish({ id, channels }: Block, { index }: Evaluation): void {
    const { halves, blocks, report, schedule } = this.#growing;
    const { terms, per } = this.#options;
    const folds = Array.from({ length: this.#options.folds }, (_, fold) =>
      mergeMoments(this.#sums.map((each) => each[fold])),
    );
    const { coefficients, ridge, errors } = fitValidated(per === "block" ? folds.map(poolChannels) : folds, {
      start: terms.map((term) => IDENTITY[term]),
      fitted: [...terms.keys()],
    });
    (report[id] ??= []).push({ evaluation: index, ridge, ...errors });
    const width = halves * channels;
    const identity = (term: Term): Float32Array =>
      new Float32Array(schedule.timesteps.length * width).fill(IDENTITY[term]);
    blocks[id] ??= { channels, terms: {} };
    terms.forEach((term, place) => {
      const table = (blocks[id].terms[term] ??= identity(term));
      for (let channel = 0; channel < width; channel++)
        table[index * width + channel] = coefficients[(per === "block" ? 0 : channel) * terms.length + place];
    });
  }
}
