/** How schedules do in settings that they were not found in, measured by sampling. */
import { askHeuristic } from "../caching/heuristics/askHeuristic.js";
import { cachedRun } from "../caching/run/cachedRun.js";
import { hold } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { profileSampling } from "../caching/schedule/scheduleSampling.js";
import { transferSchedule, transferTable } from "../caching/schedule/transfer.js";
import type { TransferRow } from "../caching/schedule/transfer.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { Profile } from "../instrument/profile/profile.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { relativeDistances } from "../quality/distance.js";
import { finalLatents } from "./finalLatents.js";

export interface MeasuredTransferRow extends TransferRow {
  /** relative L2 of the cached run's final latents to the plain run's in the setting `to`, one a trajectory */
  readonly distances: readonly number[];
}

export interface MeasureTransferOptions {
  /** of each profile, the first so many trajectories are sampled. Default: 2 */
  readonly trajectories?: number;
  /** Default: hold */
  readonly reuse?: ReuseRule;
  /** samplings done and to do */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * The transfer table with the distance that each schedule causes in each setting. Solver, steps, guidance,
 * size and prompts are those of the profiles.
 */
export async function measureTransfer(
  pipeline: Pipeline,
  profiles: Readonly<Record<string, Profile>>,
  find: (profile: Profile) => Schedule,
  { trajectories: count = 2, reuse = hold, onProgress, signal }: MeasureTransferOptions = {},
): Promise<readonly MeasuredTransferRow[]> {
  const total = Object.keys(profiles).length * (Object.keys(profiles).length + 1);
  let done = 0;
  const latentsIn = async ({ setting, trajectories }: Profile, schedule?: Schedule): Promise<FloatTensor> => {
    const hooks = schedule === undefined ? [] : [cachedRun(schedule, { reuse })];
    const latents = await finalLatents(pipeline, trajectories.slice(0, count), {
      ...profileSampling(setting, pipeline.vaeScaleFactor),
      hooks,
      signal,
    });
    done++;
    onProgress?.(done, total);
    return latents;
  };
  const plain: Record<string, FloatTensor> = {};
  for (const [name, profile] of Object.entries(profiles)) plain[name] = await latentsIn(profile);
  const rows: MeasuredTransferRow[] = [];
  for (const row of transferTable(profiles, find)) {
    const profile = profiles[row.to];
    const cached = await latentsIn(profile, transferSchedule(askHeuristic(find, profiles[row.from], {}), profile));
    rows.push({ ...row, distances: relativeDistances(cached, plain[row.to]) });
  }
  return rows;
}
