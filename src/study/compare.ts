/**
 * The question that matters: at equal latency, a cached run or plain sampling with fewer steps? Latency is in
 * units of the study's plain run beside it, so that arms timed on different machines stand on one scale.
 */
import { mean, median } from "../instrument/profile/statistics.js";
import { ArgumentError } from "../errors.js";
import { onParetoFront } from "../quality/dominance.js";
import { plainAtLatency } from "../quality/equalLatency.js";
import { pairedRatio } from "../quality/pairedRatio.js";
import type { RatioInterval } from "../quality/pairedRatio.js";
import type { Arm, ArmResult, Distances, StudyResult } from "./result.js";
import { isPlainRun } from "./studyJobs.js";

/** How far results are from the reference, as numbers of which less is better. */
export const DISTANCE_MEASURES = {
  /** relative L2 of the final latents */
  latent: ({ latent }: Distances) => latent,
  /** root mean square error of the pictures in units of full scale, 10^(−PSNR / 20) */
  rms: ({ psnr }: Distances) => psnr.map((decibels) => 10 ** (-decibels / 20)),
  /** (1 − SSIM) / 2 of the pictures */
  dssim: ({ ssim }: Distances) => ssim.map((similarity) => (1 - similarity) / 2),
} as const;
export type DistanceMeasure = keyof typeof DISTANCE_MEASURES;

/** An arm among the others. */
export interface ComparedArm {
  readonly result: ArmResult;
  /** time of the plain run ÷ this arm's */
  readonly speedup: number;
  /** mean over trajectories, to the converged solution */
  readonly distance: number;
  /** distance ÷ the plain run's, trajectory by trajectory */
  readonly againstPlain: RatioInterval;
  /** distance ÷ that of plain sampling which takes as long; absent where no plain run is as fast, or as slow */
  readonly atEqualLatency?: RatioInterval;
  /** no arm is both as fast and as near, and better in one of the two */
  readonly onFront: boolean;
}

/** Every arm of a study against its plain runs, in the study's order. Throws ArgumentError where the plain run of the study's own steps is missing. */
export function compareArms(study: StudyResult, measure: DistanceMeasure = "latent"): ComparedArm[] {
  const full = study.results.find(({ arm }) => isPlainRun(arm, study));
  if (full === undefined)
    throw new ArgumentError(
      `study: expected a plain run with ${study.steps} steps of ${study.solver}, found none — \`blockcache sweep\` adds it`,
    );
  const distancesOf = ({ toConverged }: ArmResult): readonly number[] => DISTANCE_MEASURES[measure](toConverged);
  const plain = study.results
    .filter(({ arm }) => isPlain(arm, study))
    .map((result) => ({ latency: latency(result, full), distances: distancesOf(result) }));
  const points = study.results.map((result) => ({ cost: latency(result, full), error: mean(distancesOf(result)) }));
  const front = onParetoFront(points);
  return study.results.map((result, index) => {
    const { cost, error } = points[index];
    const equal = result.arm.cached === undefined ? undefined : plainAtLatency(plain, cost);
    return {
      result,
      speedup: 1 / cost,
      distance: error,
      againstPlain: pairedRatio(distancesOf(result), distancesOf(full)),
      ...(equal === undefined ? {} : { atEqualLatency: pairedRatio(distancesOf(result), equal) }),
      onFront: front[index],
    };
  });
}

/** A plain arm of the study's own solver: one of the runs that caching must beat. */
function isPlain({ cached, solver }: Arm, study: StudyResult): boolean {
  return cached === undefined && solver === study.solver;
}

/** Time of an arm ÷ the plain run's: the median over batches and repeats of what was timed in turn. */
function latency({ seconds, plainSeconds }: ArmResult, full: ArmResult): number {
  const beside = plainSeconds ?? seconds.map(() => median(full.seconds));
  return median(seconds.map((each, index) => each / beside[index]));
}
