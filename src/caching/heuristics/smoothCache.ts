import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { cacheableBlocks, cacheableRecord, computeWhen } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";
import { pairDistance } from "./pairDistance.js";

export interface SmoothCacheOptions extends Cacheable {
  /** α: the error that a kind of layer may have on average over its blocks */
  readonly alpha: number;
}

/**
 * All blocks of a kind compute together, as soon as their average distance from what is kept is α or more.
 *
 * Source: Liu et al. 2024, "SmoothCache" (arXiv 2411.10510), section 3: the relative L1 between a step and
 * the cached one, averaged over the depth positions of a layer type, below a threshold α. It was made for
 * transformers whose layers are of one size; here a kind spans several resolutions. Its largest interval
 * is the window that the profile measured.
 */
export function smoothCache(profile: Profile, options: SmoothCacheOptions): Schedule {
  const { alpha } = options;
  if (typeof alpha !== "number" || !(alpha >= 0)) throw new ArgumentError(`alpha: expected 0 or more, found ${alpha}`);
  const distance = pairDistance(profile);
  const blocks = cacheableBlocks(profile, options);
  const computing = new Map(
    [...new Set(blocks.map(({ kind }) => kind))].map((kind) => {
      const alike = blocks.filter((block) => block.kind === kind);
      const steps = new Set<number>();
      let computedAt = 0;
      for (let step = 1; step < profile.setting.timesteps.length; step++) {
        const age = step - computedAt;
        const error =
          age > distance.window
            ? Infinity
            : alike.reduce((sum, { id }) => sum + distance.of(id, step, age), 0) / alike.length;
        if (error < alpha) continue;
        steps.add(step);
        computedAt = step;
      }
      return [kind, steps] as const;
    }),
  );
  return createSchedule(
    profile,
    { name: "smoothcache", alpha, ...cacheableRecord(options) },
    computeWhen(profile, blocks, ({ kind }, evaluation) => computing.get(kind)?.has(evaluation) === true),
  );
}
