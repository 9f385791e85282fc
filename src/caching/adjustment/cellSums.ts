/** What one block's fit at one evaluation is made of: the sums of a batch's maps, for each fold of the prompts. */
import type { Evaluation } from "../../engine/network/observer.js";
import { IDENTITY } from "./adjustment.js";
import type { Term } from "./adjustment.js";
import { squaredError } from "./leastSquares.js";
import { addMaps, addWeighted, emptyMoments } from "./moments.js";
import type { Moments, Quantity } from "./moments.js";
import { guidedMap } from "./regressors.js";

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

/** Parts that the prompts are cut into; each is held out once. */
export function foldCount(prompts: readonly string[]): number {
  return Math.min(4, prompts.length);
}

export interface CellSumsOptions {
  readonly terms: readonly Term[];
  readonly halves: FitHalves;
  /** parts that the prompts are cut into; each is held out once */
  readonly folds: number;
  readonly guidanceScale: number;
}

/**
 * The sums of each fold. Each trajectory counts by the share of its own error that is removed: those that caching harms
 * most would otherwise be mended at the others' cost.
 *
 * @param maps one for each term, then what they are fitted to
 * @param channels of a map
 * @param foldOf each image of the batch
 */
export function cellSums(
  maps: readonly Quantity[],
  { terms, halves, folds, guidanceScale }: CellSumsOptions,
  channels: number,
  evaluation: Evaluation,
  foldOf: readonly number[],
): Moments[] {
  const { images } = evaluation;
  const own = halves === "apart" ? 2 : 1;
  const start = terms.map((term) => IDENTITY[term]);
  const unchanged = Float64Array.from(
    { length: own * channels * start.length },
    (_, index) => start[index % start.length],
  );
  const sums = Array.from({ length: folds }, () => emptyMoments(maps.length, own * channels));
  for (const { values, rows, weight } of fittedMaps(maps, halves, guidanceScale, evaluation)) {
    // Of the halves' own coefficients, the conditional ones come second; without guidance there are no others.
    const firstChannel = (row: number): number => (rows === images || row >= images ? (own - 1) * channels : 0);
    for (let image = 0; image < images; image++) {
      const trajectory = emptyMoments(maps.length, own * channels);
      const places = new Map(
        (rows === images ? [image] : [image, images + image]).map((row) => [row, firstChannel(row)]),
      );
      addMaps(trajectory, values, { rows, width: channels, firstChannel: places });
      const error = squaredError(trajectory, unchanged);
      if (error > 0) addWeighted(sums[foldOf[image]], trajectory, weight / error);
    }
  }
  return sums;
}

/** What is fitted: maps, and how many rows they have. */
function fittedMaps(
  maps: readonly Quantity[],
  halves: FitHalves,
  guidanceScale: number,
  { images, guided }: Evaluation,
): { values: readonly Quantity[]; rows: number; weight: number }[] {
  const asTheyAre = { values: maps, rows: guided ? 2 * images : images, weight: 1 };
  if (!guided || halves === "together" || halves === "apart") return [asTheyAre];
  const combined = { values: maps.map((map) => guidedMap(map, guidanceScale)), rows: images, weight: 1 };
  return halves === "guided" ? [combined] : [{ ...asTheyAre, weight: HALVES_WEIGHT }, combined];
}
