/** A study's arms as points, which all figures of a study draw. */
import { createSolver } from "../../diffusion/solvers/index.js";
import { median } from "../../instrument/profile/statistics.js";
import { pairedRatio } from "../../quality/pairedRatio.js";
import type { RatioInterval } from "../../quality/pairedRatio.js";
import { DISTANCE_MEASURES, compareArms } from "../../study/compare.js";
import type { ComparedArm, DistanceMeasure } from "../../study/compare.js";
import type { Arm, StudyResult } from "../../study/result.js";
import { verdict } from "../../study/table.js";
import type { Verdict } from "../../study/table.js";

/** One arm: its time and its distance from the converged solution. */
export interface StudyPoint extends Omit<ComparedArm, "result"> {
  readonly arm: Arm;
  readonly name: string;
  readonly steps: number;
  /** of the network, where nothing is reused */
  readonly evaluations: number;
  /** one per trajectory, from the converged solution */
  readonly distances: readonly number[];
  /** against plain sampling of equal time; absent in a plain arm */
  readonly verdict?: Verdict;
  /** the heuristic, what it may cache and how it reuses; absent in a plain arm */
  readonly cached?: {
    readonly heuristic: string;
    readonly kinds: string;
    readonly reuse: string;
    readonly parameter?: number;
    /** "δ 0.2", "interval 2"; empty without a parameter */
    readonly setting: string;
  };
  /** time of a run ÷ the plain run's: median, shortest and longest over batches and repeats */
  readonly time: number;
  readonly timeRange: readonly [number, number];
  /** median seconds of one image; approximate for a study that was cut in halves */
  readonly seconds: number;
  /** the mean distance and its 95 % interval over trajectories */
  readonly interval: RatioInterval;
  readonly computedShare: number;
  readonly predictedSpeedup?: number;
}

export const DISTANCE_TITLES: Readonly<Record<DistanceMeasure, string>> = {
  latent: "relative distance of the latents",
  rms: "root mean square error of the pictures",
  dssim: "(1 − SSIM) / 2 of the pictures",
};

/** Every arm of a study, in its order. */
export function studyPoints(study: StudyResult, measure: DistanceMeasure): StudyPoint[] {
  return compareArms(study, measure).map((each) => {
    const { result, ...compared } = each;
    const { arm, seconds, plainSeconds, toConverged, evaluations, computedShare, predictedSpeedup } = result;
    const distances = DISTANCE_MEASURES[measure](toConverged);
    // Without a plain run beside each timing, the spread comes from the seconds alone.
    const times = seconds.map((taken, index) => taken / (plainSeconds?.[index] ?? compared.speedup * median(seconds)));
    return {
      ...compared,
      arm,
      distances,
      name: arm.name,
      verdict: verdict(each),
      steps: arm.steps,
      evaluations: evaluations ?? evaluationsOf(arm),
      ...(arm.cached === undefined
        ? {}
        : {
            cached: {
              heuristic: arm.cached.schedule.heuristic.name,
              kinds: arm.cached.kinds,
              reuse: arm.cached.adjustment === undefined ? arm.cached.reuse : `${arm.cached.reuse}, adjusted`,
              parameter: arm.cached.parameter,
              setting: settingOf(arm.cached),
            },
          }),
      time: 1 / compared.speedup,
      timeRange: [Math.min(...times), Math.max(...times)],
      seconds: median(secondsAnImage(study, seconds)),
      interval: pairedRatio(
        distances,
        distances.map(() => 1),
      ),
      computedShare,
      ...(predictedSpeedup === undefined ? {} : { predictedSpeedup }),
    };
  });
}

/** For studies that do not say it: where no schedule does, of the solver as diffusers sets it up. */
function evaluationsOf({ solver, steps, cached }: Arm): number {
  return (cached?.schedule ?? createSolver(solver, {}, steps)).timesteps.length;
}

/** Each timed sampling's seconds ÷ the images of its batch: the last one may have fewer. */
function secondsAnImage({ batch, trajectories: { length } }: StudyResult, seconds: readonly number[]): number[] {
  const batches = Math.ceil(length / batch);
  return seconds.map(
    (each, entry) =>
      each / Math.max(1, Math.min(batch, length - batch * Math.floor((entry * batches) / seconds.length))),
  );
}

/** The parameter's value, with the name that the schedule's heuristic gives it. */
function settingOf({ schedule, parameter }: NonNullable<Arm["cached"]>): string {
  if (parameter === undefined) return "";
  const [name] = Object.entries(schedule.heuristic).find(([, value]) => value === parameter) ?? ["parameter"];
  return `${name === "delta" ? "δ" : name} ${parameter}`;
}
