import type { Profile } from "../../instrument/profile.js";
import { predictSeconds } from "../predictSeconds.js";
import { createSchedule } from "../schedule.js";
import type { Schedule } from "../schedule.js";
import { budgetRecord, secondsOf, unreachable } from "./budget.js";
import type { Budget } from "./budget.js";
import { cacheableBlocks, cacheableRecord } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";
import { blockLifetimes } from "./lifetimes.js";
import type { BlockLifetimes } from "./lifetimes.js";

export interface GreedyOptions extends Cacheable, Budget {}

/**
 * From computing everywhere, the cell that misses least change per second it saves is reused next, until
 * the schedule is within the budget. Reusing a cell joins two lifetimes of its block: lifetimes.ts says
 * what that misses and saves. The schedules of all budgets are nested.
 *
 * Source: the greedy rule of the fractional knapsack (Dantzig 1957), on the paper's change curves.
 *
 * @throws ArgumentError where the rule finds no schedule of these blocks within the budget
 */
export function greedy(profile: Profile, options: GreedyOptions): Schedule {
  const { timesteps } = profile.setting;
  const { blocks, seconds } = greedyBlocks(profile, options);
  if (seconds > secondsOf(options, timesteps)) throw unreachable(options, timesteps, seconds);
  return createSchedule(profile, { name: "greedy", ...budgetRecord(options), ...cacheableRecord(options) }, blocks);
}

/** What the rule comes to, and its predicted seconds: more than the budget where it finds nothing within. */
export function greedyBlocks(profile: Profile, options: GreedyOptions): { readonly blocks: Schedule["blocks"]; readonly seconds: number } {
  const { costs, reuse } = options;
  const { timesteps } = profile.setting;
  const allowed = secondsOf(options, timesteps);
  const lifetimes = blockLifetimes(profile, cacheableBlocks(profile, options), options);
  const order = reuseOrder(lifetimes, timesteps.length);
  const blocksAfter = (count: number): Record<string, number[]> => {
    const reused = lifetimes.map(() => new Set<number>());
    for (const { block, evaluation } of order.slice(0, count)) reused[block].add(evaluation);
    return Object.fromEntries(lifetimes.map(({ id }, block) => [id, [...timesteps.keys()].filter((evaluation) => !reused[block].has(evaluation))]));
  };
  const secondsAfter = (count: number): number => predictSeconds(costs, { timesteps, blocks: blocksAfter(count) }, reuse);
  let [low, high] = secondsAfter(0) <= allowed ? [-1, 0] : [0, order.length];
  const fastest = secondsAfter(high);
  if (fastest > allowed) return { blocks: blocksAfter(high), seconds: fastest };
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (secondsAfter(middle) <= allowed) high = middle;
    else low = middle;
  }
  return { blocks: blocksAfter(high), seconds: secondsAfter(high) };
}

/** A cell: a block, by its place in the list, and an evaluation that computes. */
interface Cell {
  readonly block: number;
  readonly evaluation: number;
  /** missed change ÷ seconds saved by reusing it next */
  readonly price: number;
}

/** Every cell that saves time, in the order in which they are reused. */
function reuseOrder(lifetimes: readonly BlockLifetimes[], evaluations: number): readonly Cell[] {
  const computed = lifetimes.map(() => Array.from({ length: evaluations }, (_, evaluation) => evaluation));
  const cheapest = lifetimes.map((_, block) => cheapestCell(lifetimes[block], block, computed[block], evaluations));
  const order: Cell[] = [];
  for (;;) {
    let next: Cell | undefined;
    for (const cell of cheapest) if (cell !== undefined && (next === undefined || cell.price < next.price)) next = cell;
    if (next === undefined) return order;
    order.push(next);
    const { block, evaluation } = next;
    computed[block].splice(computed[block].indexOf(evaluation), 1);
    cheapest[block] = cheapestCell(lifetimes[block], block, computed[block], evaluations);
  }
}

function cheapestCell({ missed, seconds }: BlockLifetimes, block: number, computed: readonly number[], evaluations: number): Cell | undefined {
  let cheapest: Cell | undefined;
  for (let place = 1; place < computed.length; place++) {
    const [from, evaluation, to] = [computed[place - 1], computed[place], computed[place + 1] ?? evaluations];
    const saved = seconds(from, evaluation) + seconds(evaluation, to) - seconds(from, to);
    if (!(saved > 0)) continue;
    const price = (missed(from, to) - missed(from, evaluation) - missed(evaluation, to)) / saved;
    if (cheapest === undefined || price < cheapest.price) cheapest = { block, evaluation, price };
  }
  return cheapest;
}
