/** How sure a schedule is, given that its profile is a sample of trajectories. */
import { ArgumentError } from "../../errors.js";
import { MersenneTwister } from "../../numerics/mersenneTwister.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { selectTrajectories } from "../../instrument/profile/trajectories.js";
import { askHeuristic } from "../heuristics/askHeuristic.js";
import { computesAt } from "./schedule.js";
import type { Schedule } from "./schedule.js";

/** block id → for each evaluation, in which share of the resampled profiles the block computes */
export type ComputeProbability = Readonly<Record<string, readonly number[]>>;

export interface BootstrapOptions {
  /** Default: 200 */
  readonly resamples?: number;
  /** the same seed draws the same trajectories. Default: 0 */
  readonly seed?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * The probability that a cell (block × evaluation) computes, by the bootstrap over trajectories: as many as the profile
 * has are drawn with replacement, and a schedule is found from each such draw (Efron & Tibshirani 1993, chapter 6). 0
 * and 1 are cells that do not depend on which prompts and seeds were profiled.
 *
 * @param find a heuristic with its options: `(profile) => threshold(profile, { delta: 0.2 })`
 */
export function computeProbability(
  profile: Profile,
  find: (profile: Profile) => Schedule,
  { resamples = 200, seed = 0, onProgress }: BootstrapOptions = {},
): ComputeProbability {
  if (!Number.isInteger(resamples) || resamples < 1)
    throw new ArgumentError(`resamples: expected an integer of 1 or more, found ${resamples}`);
  const generator = new MersenneTwister(seed);
  const { length } = profile.trajectories;
  const evaluations = [...profile.setting.timesteps.keys()];
  const counts = new Map<string, number[]>();
  for (let resample = 0; resample < resamples; resample++) {
    const rows = Array.from({ length }, () => generator.uint32() % length);
    const schedule = askHeuristic(find, selectTrajectories(profile, rows, ["change"]), {});
    for (const id of Object.keys(schedule.blocks)) {
      const count = counts.get(id) ?? evaluations.map(() => 0);
      evaluations.forEach((evaluation) => (count[evaluation] += computesAt(schedule, id, evaluation) ? 1 : 0));
      counts.set(id, count);
    }
    onProgress?.(resample + 1, resamples);
  }
  return Object.fromEntries([...counts].map(([id, count]) => [id, count.map((each) => each / resamples)]));
}

/** Comma-separated, one line per block and one column per evaluation: the probability that it computes. */
export function probabilityCsv(probability: ComputeProbability): string {
  const [first = []] = Object.values(probability);
  return `${[["block", ...first.keys()].join(","), ...Object.entries(probability).map(([id, values]) => [id, ...values].join(","))].join("\n")}\n`;
}
