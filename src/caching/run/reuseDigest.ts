import { createHash } from "node:crypto";
import type { EvaluationTime } from "../../diffusion/evaluationTimes.js";
import type { Schedule } from "../schedule/schedule.js";
import { REUSE_RULES, weightsOf } from "./reuseRule.js";
import type { ReuseRule } from "./reuseRule.js";

/**
 * `sha256:…` of every weight that a user's own rule gives in a run by a schedule: it tells the rule from an edited one
 * of the same name, however it was written or imported. Nothing for the library's own rules.
 *
 * @param times of the run's evaluations
 */
export function reuseDigest(
  { blocks }: Pick<Schedule, "blocks">,
  rule: ReuseRule,
  times: readonly EvaluationTime[],
): string | undefined {
  if (REUSE_RULES.includes(rule)) return undefined;
  const hash = createHash("sha256").update(`${rule.history}`);
  for (const [id, computed] of Object.entries(blocks)) {
    let kept: readonly EvaluationTime[] = [];
    for (const time of times) {
      if (computed.includes(time.evaluation)) kept = [...kept, time].slice(-rule.history);
      else hash.update(JSON.stringify([id, time.evaluation, weightsOrFault(rule, id, kept, time)]));
    }
  }
  return `sha256:${hash.digest("hex")}`;
}

/** A rule that fails here fails again, with this message, when a sampling uses it. */
function weightsOrFault(rule: ReuseRule, id: string, kept: readonly EvaluationTime[], wanted: EvaluationTime): unknown {
  try {
    return weightsOf(rule, id, kept, wanted);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
