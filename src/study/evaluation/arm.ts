import { ArgumentError, UnsupportedError } from "../../errors.js";
import { cachedRun } from "../../caching/run/cachedRun.js";
import { reuseRule } from "../../caching/run/reuseRule.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { armSampling } from "../setting.js";
import type { EvaluatedArm, EvaluationSampling } from "./evaluation.js";

/** A name is a folder's too. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;

/** What sampling by an arm takes besides solver and steps. */
export function hooksOf({ cached, adjustment }: EvaluatedArm): SamplingHook[] {
  // The one place where an adjustment enters sampling: read the file, check its digest, give it to cachedRun.
  if (adjustment !== undefined)
    throw new UnsupportedError(`${adjustment.file}: adjustments are not supported by this version of evaluate`);
  return cached === undefined ? [] : [cachedRun(cached.schedule, { reuse: reuseRule(cached.reuse) })];
}

/**
 * Before anything is sampled: names are unique and can name a folder, schedules fit model, solver and timesteps.
 *
 * @throws ArgumentError, UnsupportedError for what does not
 */
export async function checkArms(
  pipeline: Pipeline,
  sampling: EvaluationSampling,
  arms: readonly EvaluatedArm[],
): Promise<void> {
  if (arms.length === 0) throw new ArgumentError("settings: expected at least one, found an empty list");
  const names = new Set<string>();
  for (const arm of arms) {
    const where = `settings: "${arm.name}"`;
    if (!NAME.test(arm.name))
      throw new ArgumentError(
        `${where}: expected a name of letters, digits, ".", "_", "+" and "-", as it names a folder`,
      );
    if (names.has(arm.name)) throw new ArgumentError(`${where}: expected names that differ, found it twice`);
    names.add(arm.name);
    if (arm.adjustment !== undefined && arm.cached === undefined)
      throw new ArgumentError(`${where}: adjustment: expected beside a schedule or δ, found a plain setting`);
    const evaluations = planEvaluations(pipeline, armSampling(pipeline, sampling, arm));
    for (const hook of hooksOf(arm)) {
      await hook.begin?.(pipeline, evaluations);
      hook.end?.();
    }
  }
}
