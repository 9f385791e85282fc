import { loadAdjustment } from "../../caching/adjustment/adjustmentFile.js";
import type { Adjustment } from "../../caching/adjustment/adjustment.js";
import { cachedRun } from "../../caching/run/cachedRun.js";
import { reuseRule } from "../../caching/run/reuseRule.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import { memory } from "../remember.js";
import type { CachedBy } from "../worker.js";

/** The hook that caches a run; an adjustment's file is read once. Throws what `cachedRun` and `loadAdjustment` throw. */
export async function cachedHook(
  pipeline: Pipeline,
  { schedule, reuse, adjustment: file }: CachedBy,
): Promise<SamplingHook> {
  const kept = memory<Adjustment>(pipeline, ["adjustment", file]);
  const adjustment = file === undefined ? undefined : (kept.get() ?? kept.set(await loadAdjustment(file)));
  return cachedRun(schedule, { reuse: reuseRule(reuse), adjustment });
}
