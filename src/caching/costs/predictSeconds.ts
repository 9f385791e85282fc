/** What a schedule will cost: predicted from measured costs, before any image is made. */
import { median } from "../../instrument/profile/statistics.js";
import type { BlockSeconds, Costs } from "./costs.js";
import { executionPlan, stagesAt } from "../run/executionPlan.js";
import type { BlockAction } from "../run/executionPlan.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";

type Planned = Pick<Schedule, "timesteps" | "blocks">;

/**
 * Seconds of a whole sampling by a schedule: the text encoded once, and in each evaluation the medians of
 * the blocks that run. A block whose C is kept costs what keeping does, a reused one its merge and its
 * rule's weighted sum (more than three values count as three), and one whose result nothing reads costs nothing.
 *
 * @param reuse the rule that the run will use: its sums cost time
 */
export function predictSeconds(costs: Costs, schedule: Planned, reuse: Pick<ReuseRule, "history"> = hold): number {
  const prices = pricesOf(costs);
  const plan = executionPlan(schedule, reuse);
  let seconds = prices.text + schedule.timesteps.length * prices.rest;
  for (const evaluation of schedule.timesteps.keys()) {
    for (const { id, action } of stagesAt(costs.network, plan, evaluation)) seconds += prices.of(id, action);
  }
  return seconds;
}

/** Seconds of one plain network evaluation, without the text. */
export function evaluationSeconds(costs: Costs): number {
  return predictSeconds(costs, { timesteps: [0], blocks: {} }) - pricesOf(costs).text;
}

/** Plain seconds ÷ the schedule's, as predicted. */
export function predictSpeedup(costs: Costs, schedule: Planned, reuse: Pick<ReuseRule, "history"> = hold): number {
  return predictSeconds(costs, { ...schedule, blocks: {} }) / predictSeconds(costs, schedule, reuse);
}

/** The speed-up if these blocks computed at the first evaluation only: no schedule of them is faster. */
export function speedupCeiling(costs: Costs, schedule: Planned, blocks: readonly string[]): number {
  return predictSpeedup(costs, { ...schedule, blocks: Object.fromEntries(blocks.map((id) => [id, [0]])) });
}

/** Median seconds of what a block may do. */
export interface Prices {
  readonly text: number;
  readonly rest: number;
  of(id: string, action: BlockAction): number;
}

const known = new WeakMap<Costs, Prices>();

/** The medians of costs, taken once. */
export function pricesOf(costs: Costs): Prices {
  const before = known.get(costs);
  if (before !== undefined) return before;
  const medians = (group: BlockSeconds): ReadonlyMap<string, number> =>
    new Map(Object.entries(group).map(([id, samples]) => [id, median(samples)]));
  const compute = medians(costs.compute);
  const keep = medians(costs.keep);
  const reuse = [costs.reuse, costs.reuse2, costs.reuse3].map(medians);
  const prices: Prices = {
    text: median(costs.text),
    rest: median(costs.rest),
    of: (id, action) =>
      (action === "compute" ? compute : action === "keep" ? keep : reuse[Math.min(action, reuse.length) - 1]).get(id) ??
      0,
  };
  known.set(costs, prices);
  return prices;
}
