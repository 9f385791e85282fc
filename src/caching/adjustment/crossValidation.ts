/** The strength of the ridge by prompts that the fit has not seen, each held out once; all from running sums. */
import { fitRidge, squaredError, squaredTarget } from "./leastSquares.js";
import type { RidgeProblem } from "./leastSquares.js";
import { mergeMoments } from "./moments.js";
import type { Moments } from "./moments.js";

/** Strengths that are tried, in units of each regressor's own power (leastSquares.ts). */
export const RIDGE_STRENGTHS = [0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1] as const;

/** What a fit did to the error Σ(y − ŷ)² / Σy² of the stand-in, trajectories weighted as they were in the fit (cellFit.ts). */
export interface FitErrors {
  /** with the coefficients as they were */
  readonly before: number;
  /** after, on the prompts that it was fitted on */
  readonly fitted: number;
  /** after, on prompts held out: each fold by coefficients fitted on the others */
  readonly held_out: number;
}

export interface ValidatedFit {
  /** [channels, regressors], fitted on all folds; as they were where `ridge` is null */
  readonly coefficients: Float64Array;
  /** the strength of the ridge; null where nothing that was tried lowers the held-out error, and nothing is changed */
  readonly ridge: number | null;
  readonly errors: FitErrors;
}

/**
 * Fits with the strength that has the least held-out error, and not at all where that is no less than it was.
 *
 * @param folds sums over disjoint sets of prompts. With a single one nothing can be held out: the fit is then of the
 *   middle strength 0.01, and the held-out error is that of the fitted prompts
 */
export function fitValidated(
  folds: readonly Moments[],
  problem: Omit<RidgeProblem, "moments">,
  candidates: readonly number[] = RIDGE_STRENGTHS,
): ValidatedFit {
  const whole = mergeMoments(folds);
  const size = squaredTarget(whole);
  const unchanged = Float64Array.from(
    { length: whole.channels * problem.start.length },
    (_, index) => problem.start[index % problem.start.length],
  );
  const before = squaredError(whole, unchanged);
  const heldOut = folds.length === 1 ? undefined : heldOutErrors(folds, problem, candidates);
  const strengths = heldOut === undefined ? [0.01] : candidates;
  const best = heldOut === undefined ? 0 : heldOut.indexOf(Math.min(...heldOut));
  const [coefficients] = fitRidge({ ...problem, moments: whole }, [strengths[best]]);
  const fitted = squaredError(whole, coefficients);
  const unseen = heldOut?.[best] ?? fitted;
  // Not by "unseen < before" alone: an error that is no number must not pass.
  if (!(unseen < before))
    return {
      coefficients: unchanged,
      ridge: null,
      errors: relative({ before, fitted: before, held_out: before }, size),
    };
  return { coefficients, ridge: strengths[best], errors: relative({ before, fitted, held_out: unseen }, size) };
}

/** Σ(y − ŷ)² over all folds for each strength, each fold by coefficients fitted on the others. */
function heldOutErrors(
  folds: readonly Moments[],
  problem: Omit<RidgeProblem, "moments">,
  candidates: readonly number[],
): number[] {
  const errors = candidates.map(() => 0);
  folds.forEach((fold, index) => {
    const others = mergeMoments(folds.filter((_, other) => other !== index));
    fitRidge({ ...problem, moments: others }, candidates).forEach((coefficients, place) => {
      errors[place] += squaredError(fold, coefficients);
    });
  });
  return errors;
}

function relative({ before, fitted, held_out }: FitErrors, size: number): FitErrors {
  const of = (error: number): number => (error === 0 ? 0 : error / size);
  return { before: of(before), fitted: of(fitted), held_out: of(held_out) };
}
