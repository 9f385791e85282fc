/** What an arm of a study costs, in units of the study's plain run: what a figure may have on its x axis. */
import { multiplyAddsOf } from "../../caching/costs/networkWork.js";
import type { NetworkWork } from "../../caching/costs/networkWork.js";
import { reuseRule } from "../../caching/run/reuseRule.js";
import { ArgumentError } from "../../errors.js";
import { onParetoFront } from "../../quality/dominance.js";
import { plainAtLatency } from "../../quality/equalLatency.js";
import { pairedRatio } from "../../quality/pairedRatio.js";
import type { StudyResult } from "../../study/result.js";
import { isPlainRun } from "../../study/studyJobs.js";
import { verdictOf } from "../../study/table.js";
import type { StudyPoint } from "./studyPoints.js";

/**
 * - `time`: measured, of whole samplings (default)
 * - `predicted`: by the cost model, from the seconds of the blocks
 * - `evaluations`: of the network, not counting those that only reuse the network's result
 * - `multiply-adds`: of the branches that run, the same on every machine
 */
export const COST_AXES = ["time", "predicted", "evaluations", "multiply-adds"] as const;
export type CostAxis = (typeof COST_AXES)[number];

export const COST_TITLES: Readonly<
  Record<CostAxis, { readonly name: string; readonly axis: string; readonly equal: string }>
> = {
  time: { name: "time", axis: "time of a run", equal: "equal time" },
  predicted: { name: "predicted time", axis: "predicted time of a run", equal: "equal predicted time" },
  evaluations: { name: "network evaluations", axis: "network evaluations of a run", equal: "equally many evaluations" },
  "multiply-adds": { name: "multiply-adds", axis: "multiply-adds of a run", equal: "equally many multiply-adds" },
};

/** A study's point at its cost. */
export interface CostedPoint extends StudyPoint {
  /** ÷ the study's plain run */
  readonly cost: number;
}

/**
 * The points that have such a cost (one without a prediction has no predicted time), each judged at equal cost: whether
 * it is on the front, and how it does against plain sampling.
 *
 * @param work needed for `multiply-adds`
 * @throws ArgumentError where it is needed and missing
 */
export function atCost(
  study: StudyResult,
  points: readonly StudyPoint[],
  axis: CostAxis,
  work?: NetworkWork,
): CostedPoint[] {
  if (axis === "time") return points.map((point) => ({ ...point, cost: point.time }));
  const full = points.find(({ arm }) => isPlainRun(arm, study));
  if (full === undefined) throw new ArgumentError(`points: expected the plain run of ${study.steps} steps, found none`);
  const costed = points.flatMap((point) => {
    const cost = costOf(point, full, axis, work);
    return cost === undefined ? [] : [{ ...point, cost }];
  });
  const front = onParetoFront(costed.map(({ cost, distance }) => ({ cost, error: distance })));
  const plain = costed
    .filter(({ arm }) => arm.cached === undefined && arm.solver === study.solver)
    .map(({ cost, distances }) => ({ latency: cost, distances }));
  return costed.map((point, index) => {
    const equal = point.cached === undefined ? undefined : plainAtLatency(plain, point.cost);
    const atEqualLatency = equal === undefined ? undefined : pairedRatio(point.distances, equal);
    return {
      ...point,
      onFront: front[index],
      atEqualLatency,
      ...(point.cached === undefined ? {} : { verdict: verdictOf(atEqualLatency) }),
    };
  });
}

function costOf(
  { arm, evaluations, predictedSpeedup }: StudyPoint,
  { evaluations: plain }: StudyPoint,
  axis: CostAxis,
  work?: NetworkWork,
): number | undefined {
  if (axis === "predicted") {
    if (arm.cached === undefined) return evaluations / plain;
    return predictedSpeedup === undefined ? undefined : 1 / predictedSpeedup;
  }
  const { schedule, reuse } = arm.cached ?? {};
  if (axis === "evaluations") return (schedule?.blocks.conv_out?.length ?? evaluations) / plain;
  if (work === undefined)
    throw new ArgumentError("work: multiply-adds need the network's — pass networkWork(pipeline)");
  const rule = reuseRule(reuse ?? "hold");
  const timesteps = (count: number): number[] => new Array<number>(count).fill(0);
  return (
    multiplyAddsOf(work, schedule ?? { timesteps: timesteps(evaluations), blocks: {} }, rule) /
    multiplyAddsOf(work, { timesteps: timesteps(plain), blocks: {} })
  );
}
