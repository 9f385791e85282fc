import { cachedRun } from "../caching/run/cachedRun.js";
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import { hold } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { scheduleSampling } from "../caching/schedule/scheduleSampling.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { relativeDistances } from "../quality/distance.js";
import { finalLatents } from "./finalLatents.js";

export interface JudgeOptions {
  readonly trajectories: readonly Trajectory[];
  readonly sampling?: Pick<SampleOptions, "negativePrompt" | "height" | "width">;
  /** Default: hold */
  readonly reuse?: ReuseRule;
  readonly signal?: AbortSignal;
}

/** Final latents' relative L2 distance to the plain run's, of each trajectory. */
export interface JudgedAdjustment {
  readonly trajectories: readonly Trajectory[];
  /** cached, as the reuse rule has it */
  readonly without: readonly number[];
  /** cached and adjusted */
  readonly adjusted: readonly number[];
  /** share of the mean distance that the adjustment removed; negative where it harms */
  readonly removed: number;
}

/** What an adjustment does to whole trajectories: give it prompts that it was not fitted on. */
export async function judgeAdjustment(
  pipeline: Pipeline,
  schedule: Schedule,
  adjustment: Adjustment,
  { trajectories, sampling = {}, reuse = hold, signal }: JudgeOptions,
): Promise<JudgedAdjustment> {
  const options = { ...scheduleSampling(schedule), ...sampling, signal };
  const plain = await finalLatents(pipeline, trajectories, options);
  const distances = async (run: ReturnType<typeof cachedRun>): Promise<number[]> =>
    relativeDistances(await finalLatents(pipeline, trajectories, { ...options, hooks: [run] }), plain);
  const without = await distances(cachedRun(schedule, { reuse }));
  const adjusted = await distances(cachedRun(schedule, { reuse, adjustment }));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const caching = sum(without);
  return { trajectories, without, adjusted, removed: caching === 0 ? 0 : 1 - sum(adjusted) / caching };
}
