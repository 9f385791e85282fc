import { ArgumentError } from "../../errors.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { checkCaching } from "../prepareArms.js";
import type { Arm } from "../result.js";
import { armSampling } from "../setting.js";
import type { EvaluationSampling } from "./evaluation.js";

/** A name is a folder's too. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;

/**
 * Before anything is sampled: names are unique and can name a folder, schedules and adjustments fit model, solver and timesteps.
 *
 * @throws ArgumentError for what does not; InvalidFileError for an adjustment's file
 */
export async function checkArms(pipeline: Pipeline, sampling: EvaluationSampling, arms: readonly Arm[]): Promise<void> {
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
    const plan = planEvaluations(pipeline, armSampling(pipeline, sampling, arm));
    if (arm.cached !== undefined) await checkCaching(where, arm.cached, pipeline, plan);
  }
}
