import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { quantileOf, summarise } from "../../instrument/profile/statistics.js";
import { createSchedule } from "../schedule/createSchedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { cacheableBlocks, cacheableRecord, computeWhen } from "./heuristic.js";
import type { Cacheable } from "./heuristic.js";

export interface QuantileOptions extends Cacheable {
  /** q, from 0 to 1: about this share of the cells reuses */
  readonly q: number;
  /**
   * `time`: each block's own quantile over the steps, so that all blocks compute as often;
   * `all` (default): one quantile over blocks and steps, so that what changes most computes most.
   */
  readonly over?: "time" | "all";
}

/**
 * Computes where the mean change from the step before is greater than its q-quantile: the simplest rule
 * that looks at the change curves, without accumulating. Our own, as a baseline.
 */
export function quantile(profile: Profile, options: QuantileOptions): Schedule {
  const { q, over = "all" } = options;
  if (!(q >= 0 && q <= 1)) throw new ArgumentError(`q: expected a number from 0 to 1, found ${q}`);
  if (over !== "time" && over !== "all")
    throw new ArgumentError(`over: expected time or all, found ${JSON.stringify(over)}`);
  const blocks = cacheableBlocks(profile, options);
  const change = new Map(summarise(profile).map(({ block, mean }) => [block.id, mean]));
  // The first step has no change to compare with.
  const changes = (id: string): number[] => [...(change.get(id)?.subarray(1) ?? [])];
  const pooled =
    over === "all"
      ? quantileOf(
          blocks.flatMap(({ id }) => changes(id)),
          q,
        )
      : 0;
  const limits = new Map(blocks.map(({ id }) => [id, over === "all" ? pooled : quantileOf(changes(id), q)]));
  const computed = computeWhen(
    profile,
    blocks,
    ({ id }, evaluation) => (change.get(id)?.[evaluation] ?? 0) > (limits.get(id) ?? 0),
  );
  return createSchedule(profile, { name: "quantile", q, over, ...cacheableRecord(options) }, computed);
}
