/** Choosing an arm on one half of the prompts and reporting it on the other, so that luck is not reported. */
import { ArgumentError } from "../errors.js";
import { compareArms } from "./compare.js";
import type { ComparedArm, DistanceMeasure } from "./compare.js";
import type { ArmResult, Distances, StudyResult } from "./result.js";

/** Not worse than the plain run: the 95 % interval of the ratio of distances ends below. */
export const NOT_WORSE = 1.05;

/** An arm that one half of the prompts chose. */
export interface Choice {
  readonly rule: string;
  /** on the prompts that chose it; absent where no arm meets the rule */
  readonly chosenOn?: ComparedArm;
  /** on the other prompts */
  readonly reported?: ComparedArm;
}

/** A study of the first half of its prompts, and one of the others. Throws ArgumentError for one prompt. */
export function halves(study: StudyResult): [StudyResult, StudyResult] {
  const prompts = [...new Set(study.trajectories.map(({ prompt }) => prompt))];
  if (prompts.length < 2)
    throw new ArgumentError(
      "study: expected two prompts or more to choose on one half and report on the other, found 1",
    );
  const first = new Set(prompts.slice(0, prompts.length >> 1));
  const rows = (wanted: boolean): number[] =>
    [...study.trajectories.keys()].filter((row) => first.has(study.trajectories[row].prompt) === wanted);
  return [restrict(study, rows(true)), restrict(study, rows(false))];
}

/** The largest speed-up that is not worse than the plain run, and the nearest of those faster than plain at equal latency. */
export function chooseArms(study: StudyResult, measure: DistanceMeasure = "latent"): Choice[] {
  const [choosing, reporting] = halves(study);
  const [candidates, reported] = [choosing, reporting].map((half) => compareArms(half, measure));
  const cached = candidates.filter(({ result }) => result.arm.cached !== undefined);
  const choose = (rule: string, allowed: (arm: ComparedArm) => boolean, rank: (arm: ComparedArm) => number): Choice => {
    const [chosenOn] = cached.filter(allowed).sort((a, b) => rank(a) - rank(b));
    return { rule, ...(chosenOn === undefined ? {} : { chosenOn, reported: reported[candidates.indexOf(chosenOn)] }) };
  };
  return [
    choose(
      `largest speed-up not worse than plain ${study.steps} (interval below ${NOT_WORSE})`,
      ({ againstPlain }) => againstPlain.high < NOT_WORSE,
      ({ speedup }) => -speedup,
    ),
    choose(
      "smallest distance ÷ plain's at equal latency, of those faster than plain",
      ({ speedup, atEqualLatency }) => speedup > 1 && atEqualLatency !== undefined,
      ({ atEqualLatency }) => atEqualLatency?.ratio ?? Infinity,
    ),
  ];
}

/** A study of some of its trajectories; of the times, those of batches that are wholly among them where there are any. */
export function restrict(study: StudyResult, rows: readonly number[]): StudyResult {
  const kept = new Set(rows);
  const pick = <Value>(values: readonly Value[]): Value[] => rows.map((row) => values[row]);
  const distances = ({ latent, psnr, ssim }: Distances): Distances => ({
    latent: pick(latent),
    psnr: pick(psnr),
    ssim: pick(ssim),
  });
  const count = study.trajectories.length;
  const batches = Math.ceil(count / study.batch);
  const isWhole = (batch: number): boolean =>
    Array.from(
      { length: Math.min(study.batch, count - batch * study.batch) },
      (_, index) => batch * study.batch + index,
    ).every((row) => kept.has(row));
  const whole = new Set([...Array(batches).keys()].filter(isWhole));
  const times = (seconds: readonly number[]): readonly number[] =>
    whole.size === 0
      ? seconds
      : seconds.filter((_, entry) => whole.has(Math.floor((entry * batches) / seconds.length)));
  return {
    ...study,
    trajectories: pick(study.trajectories),
    results: study.results.map((result): ArmResult => ({
      ...result,
      toConverged: distances(result.toConverged),
      ...(result.toPlain === undefined ? {} : { toPlain: distances(result.toPlain) }),
      seconds: times(result.seconds),
      ...(result.plainSeconds === undefined ? {} : { plainSeconds: times(result.plainSeconds) }),
    })),
  };
}
