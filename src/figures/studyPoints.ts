/** A study's arms as points: what all figures of a study read off it. */
import { ArgumentError } from "../errors.js";
import { median } from "../instrument/statistics.js";
import { pairedRatio } from "../quality/pairedRatio.js";
import type { ArmResult, Distances, StudyResult } from "../study/result.js";

/** `converged`: a near-converged solution of the same ODE; `plain`: the plain run of as many steps. */
export type Reference = "converged" | "plain";
export type ErrorMeasure = keyof Distances;

/** One arm: its time and its error. */
export interface StudyPoint {
  readonly name: string;
  readonly steps: number;
  /** the heuristic, what it may cache and how it reuses; absent in a plain arm */
  readonly cached?: { readonly heuristic: string; readonly kinds: string; readonly reuse: string; readonly parameter?: number };
  /** median over batches and repeats, of one image */
  readonly seconds: number;
  /** shortest and longest */
  readonly secondsRange: readonly [number, number];
  /** mean over trajectories */
  readonly error: number;
  /** 95 % interval of the mean, over trajectories */
  readonly errorRange: readonly [number, number];
  readonly computedShare: number;
  readonly predictedSpeedup?: number;
}

export const ERROR_TITLES: Readonly<Record<ErrorMeasure, { readonly name: string; readonly axis: string; readonly better: "lower" | "higher" }>> = {
  latent: { name: "distance of the latents", axis: "relative distance of the latents", better: "lower" },
  psnr: { name: "PSNR", axis: "PSNR, dB", better: "higher" },
  ssim: { name: "SSIM", axis: "SSIM", better: "higher" },
};

/** Where a study's errors are measured from, in words. */
export function referenceTitle(study: StudyResult, reference: Reference): string {
  return reference === "converged" ? `the ${study.converged_steps}-step solution` : `the plain run of ${study.steps} steps`;
}

/** The arms that have an error from `reference`, in the study's order. Throws ArgumentError where there is none. */
export function studyPoints(study: StudyResult, measure: ErrorMeasure, reference: Reference): StudyPoint[] {
  const points = study.results.flatMap((result) => pointOf(result, study, measure, reference) ?? []);
  if (points.length === 0) throw new ArgumentError(`study: no arm has a distance to ${referenceTitle(study, reference)}`);
  return points;
}

function pointOf(result: ArmResult, study: StudyResult, measure: ErrorMeasure, reference: Reference): StudyPoint | undefined {
  const { arm, computedShare, predictedSpeedup } = result;
  const values = (reference === "converged" ? result.toConverged : result.toPlain)?.[measure];
  if (values === undefined) return undefined;
  const { ratio, low, high } = pairedRatio(values, values.map(() => 1));
  const seconds = result.seconds.map((whole) => whole / study.batch);
  return {
    name: arm.name,
    steps: arm.steps,
    ...(arm.cached === undefined ? {} : { cached: { heuristic: arm.cached.schedule.heuristic.name, kinds: arm.cached.kinds, reuse: arm.cached.reuse, parameter: arm.cached.parameter } }),
    seconds: median(seconds),
    secondsRange: [Math.min(...seconds), Math.max(...seconds)],
    error: ratio,
    errorRange: [low, high],
    computedShare,
    ...(predictedSpeedup === undefined ? {} : { predictedSpeedup }),
  };
}

/** Plain arms with the study's steps are what speed-up is counted from. Throws ArgumentError where there is none. */
export function plainSeconds(study: StudyResult): number {
  const plain = study.results.find(({ arm }) => arm.cached === undefined && arm.steps === study.steps && arm.solver === study.solver);
  if (plain === undefined) throw new ArgumentError(`study: the plain arm of ${study.steps} steps is missing`);
  return median(plain.seconds) / study.batch;
}

/** The points that no other is as fast and as good as, the fastest first (the Pareto front). */
export function paretoFront(points: readonly StudyPoint[], better: "lower" | "higher"): StudyPoint[] {
  const cost = ({ error }: StudyPoint): number => (better === "lower" ? error : -error);
  const beats = (a: StudyPoint, b: StudyPoint): boolean => a.seconds <= b.seconds && cost(a) <= cost(b) && (a.seconds < b.seconds || cost(a) < cost(b));
  return points.filter((point) => !points.some((other) => beats(other, point))).sort((a, b) => a.seconds - b.seconds);
}

/** The plain arms' error at `seconds` an image, by interpolation (of its logarithm for a distance); undefined outside of them. */
export function plainErrorAt(points: readonly StudyPoint[], seconds: number, measure: ErrorMeasure): number | undefined {
  const plain = points.filter(({ cached }) => cached === undefined).sort((a, b) => a.seconds - b.seconds);
  const upper = plain.findIndex((point) => point.seconds >= seconds);
  if (upper < 1) return undefined;
  const [before, after] = [plain[upper - 1], plain[upper]];
  const share = (seconds - before.seconds) / (after.seconds - before.seconds);
  if (measure === "latent") return before.error ** (1 - share) * after.error ** share;
  return (1 - share) * before.error + share * after.error;
}
