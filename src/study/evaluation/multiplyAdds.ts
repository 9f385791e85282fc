import { networkOutline } from "../../caching/costs/networkOutline.js";
import { executionPlan, stagesAt } from "../../caching/run/executionPlan.js";
import { reuseRule } from "../../caching/run/reuseRule.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { blockMap } from "../../instrument/blockMap.js";
import type { Arm } from "../result.js";
import { armSampling } from "../setting.js";
import type { EvaluationSampling } from "./evaluation.js";

/**
 * Multiply-adds of the denoising network for one image: of every block whose branch runs, both guidance halves. What
 * merging, weighted sums and adjustments add is left out.
 */
export function multiplyAddsOf(pipeline: Pipeline, sampling: EvaluationSampling, arm: Arm): number {
  const { solver, rowsPerImage } = planEvaluations(pipeline, armSampling(pipeline, sampling, arm));
  const { timesteps } = solver;
  const blocks = arm.cached?.schedule.blocks ?? {};
  const actions = executionPlan({ timesteps, blocks }, reuseRule(arm.cached?.reuse ?? "hold"));
  const outline = networkOutline(pipeline, sampling.latent_size);
  const entries = blockMap(pipeline, sampling.latent_size).filter(({ inside }) => inside === undefined);
  const costs = new Map(entries.map(({ id, multiplyAdds }) => [id, multiplyAdds]));
  let sum = 0;
  for (const evaluation of timesteps.keys())
    for (const { id, action } of stagesAt(outline, actions, evaluation))
      if (typeof action !== "number") sum += rowsPerImage * (costs.get(id) ?? 0);
  return sum;
}
