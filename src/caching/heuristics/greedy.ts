import type { Profile } from "../../instrument/profile/profile.js";
import type { NetworkOutline } from "../costs/networkOutline.js";
import { predictSeconds } from "../costs/predictSeconds.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { budgetRecord, secondsOf, unreachable } from "./budget.js";
import type { Budget } from "./budget.js";
import { cacheableBlocks, cacheableRecord } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";
import { blockLifetimes } from "./lifetimes.js";
import type { BlockLifetimes } from "./lifetimes.js";

export interface GreedyOptions extends Cacheable, Budget {}

/**
 * Starts from computing everywhere, and each time reuses the cell that misses the least change per second it saves,
 * until the schedule is within the budget. Reusing a cell joins two lifetimes of its block: lifetimes.ts says what that
 * misses and saves. Where that does not suffice, cells that save nothing by themselves follow, the least missed change
 * first: keeping a value may take several reuses to pay for itself, and reusing a block may leave stages before it
 * unread. The schedules of all budgets are nested.
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

/** Where the rule ends, and its predicted seconds: more than the budget where it finds nothing within it. */
export function greedyBlocks(
  profile: Profile,
  options: GreedyOptions,
): { readonly blocks: Schedule["blocks"]; readonly seconds: number } {
  const { costs, reuse } = options;
  const { timesteps } = profile.setting;
  const allowed = secondsOf(options, timesteps);
  const lifetimes = blockLifetimes(profile, cacheableBlocks(profile, options), options);
  const computed = lifetimes.map(() => [...timesteps.keys()]);
  const order = reuseOrder(lifetimes, computed, timesteps.length, (missed, saved) =>
    saved > 0 ? missed / saved : undefined,
  );
  const blocksAfter = (count: number): Record<string, number[]> => {
    const reused = lifetimes.map(() => new Set<number>());
    for (const { block, evaluation } of order.slice(0, count)) reused[block].add(evaluation);
    return Object.fromEntries(
      lifetimes.map(({ id }, block) => [
        id,
        [...timesteps.keys()].filter((evaluation) => !reused[block].has(evaluation)),
      ]),
    );
  };
  const secondsAfter = (count: number): number =>
    predictSeconds(costs, { timesteps, blocks: blocksAfter(count) }, reuse);
  let [low, high] = secondsAfter(0) <= allowed ? [-1, 0] : [0, order.length];
  let fastest = secondsAfter(high);
  if (fastest > allowed) {
    const evaluations = timesteps.length;
    const leavesUnread = mayLeaveUnread(costs.network);
    const mayPay = lifetimes.map(
      ({ id, seconds }) => leavesUnread.has(id) || seconds(0, evaluations) < evaluations * seconds(0, 1),
    );
    order.push(
      ...reuseOrder(
        lifetimes,
        computed.map((each, block) => (mayPay[block] ? each : [])),
        evaluations,
        (missed) => missed,
      ),
    );
    [low, high] = [high, order.length];
    fastest = Math.min(fastest, secondsAfter(high));
  }
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
  /** the lower, the sooner it is reused */
  readonly price: number;
}

/**
 * A cell's price, from the additional change missed and the seconds saved by reusing it; undefined: do not reuse it.
 */
type PriceOf = (missed: number, saved: number) => number | undefined;

/** Every cell that has a price, in the order in which they are reused; they are taken out of `computed`. */
function reuseOrder(
  lifetimes: readonly BlockLifetimes[],
  computed: readonly number[][],
  evaluations: number,
  priceOf: PriceOf,
): Cell[] {
  const cheapest = lifetimes.map((_, block) =>
    cheapestCell(lifetimes[block], block, computed[block], evaluations, priceOf),
  );
  const order: Cell[] = [];
  for (;;) {
    let next: Cell | undefined;
    for (const cell of cheapest) if (cell !== undefined && (next === undefined || cell.price < next.price)) next = cell;
    if (next === undefined) return order;
    order.push(next);
    const { block, evaluation } = next;
    computed[block].splice(computed[block].indexOf(evaluation), 1);
    cheapest[block] = cheapestCell(lifetimes[block], block, computed[block], evaluations, priceOf);
  }
}

function cheapestCell(
  { missed, seconds }: BlockLifetimes,
  block: number,
  computed: readonly number[],
  evaluations: number,
  priceOf: PriceOf,
): Cell | undefined {
  let cheapest: Cell | undefined;
  for (let place = 1; place < computed.length; place++) {
    const [from, evaluation, to] = [computed[place - 1], computed[place], computed[place + 1] ?? evaluations];
    const saved = seconds(from, evaluation) + seconds(evaluation, to) - seconds(from, to);
    const price = priceOf(missed(from, to) - missed(from, evaluation) - missed(evaluation, to), saved);
    if (price !== undefined && (cheapest === undefined || price < cheapest.price))
      cheapest = { block, evaluation, price };
  }
  return cheapest;
}

/** Blocks whose merge does not read all that computing reads: where they are reused, other stages may have no reader. */
function mayLeaveUnread(network: NetworkOutline): ReadonlySet<string> {
  const stages = new Set(network.map(({ id }) => id));
  const leaving = network.filter(({ reads, merge_reads: merged = reads }) =>
    reads.some((value) => stages.has(value) && !merged.includes(value)),
  );
  return new Set(leaving.map(({ id }) => id));
}
