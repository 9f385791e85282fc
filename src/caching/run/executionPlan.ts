/** What a cached run will do at each evaluation: known from its schedule before it runs. */
import { liveStages } from "../../engine/network/liveness.js";
import type { NetworkOutline } from "../costs/networkOutline.js";
import type { ReuseRule } from "./reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";

/** What is done with a block at an evaluation. */
export type BlockAction =
  /** its branch runs, and no later evaluation reads it */
  | "compute"
  /** its branch runs, and C is kept */
  | "keep"
  /** it is reused: a weighted sum of this many kept values stands in */
  | number;

/** block id → what is done with it at each evaluation; only the scheduled blocks, the others compute */
export type ExecutionPlan = ReadonlyMap<string, readonly BlockAction[]>;

/** What a cached run will do with each scheduled block, evaluation by evaluation. */
export function executionPlan(
  { blocks, timesteps }: Pick<Schedule, "blocks" | "timesteps">,
  { history }: Pick<ReuseRule, "history">,
): ExecutionPlan {
  return new Map(
    Object.entries(blocks).map(([id, computed]) => [id, actionsOf(new Set(computed), timesteps.length, history)]),
  );
}

function actionsOf(computed: ReadonlySet<number>, evaluations: number, history: number): BlockAction[] {
  let kept = 0;
  return Array.from({ length: evaluations }, (_, evaluation) => {
    if (!computed.has(evaluation)) return Math.min(kept, history);
    if (!isReadLater(computed, evaluation, evaluations, history)) return "compute";
    kept++;
    return "keep";
  });
}

/** Whether a later reuse reads what is computed at `evaluation`: none does once `history` newer values are kept. */
function isReadLater(computed: ReadonlySet<number>, evaluation: number, evaluations: number, history: number): boolean {
  let newer = 0;
  for (let later = evaluation + 1; later < evaluations && newer < history; later++) {
    if (!computed.has(later)) return true;
    newer++;
  }
  return false;
}

/** The stages that run at an evaluation, in execution order: those whose results something reads. */
export function stagesAt(
  network: NetworkOutline,
  plan: ExecutionPlan,
  evaluation: number,
): readonly { readonly id: string; readonly action: BlockAction; readonly bytesPerRow: number }[] {
  const stages = network.map(({ id, reads, merge_reads: mergeReads = [], bytes_per_row: bytesPerRow }) => {
    const action = plan.get(id)?.[evaluation] ?? "compute";
    return {
      id,
      action,
      bytesPerRow,
      reads: typeof action === "number" ? mergeReads : reads,
      observed: action === "keep",
    };
  });
  return liveStages(stages, network[network.length - 1].id);
}

/** What an adjustment keeps besides the reuse rule's values (adjustmentMender.ts). Plain data. */
export interface Mending {
  /** how many computed values of C its terms read */
  readonly history: number;
  /** blocks whose input is kept with each C */
  readonly inputsOf: readonly string[];
}

/** No adjustment. */
const UNMENDED: Mending = { history: 1, inputsOf: [] };

/**
 * The most bytes that a cached run holds, at any time, in addition to what a plain one does: kept values of C. Equal to
 * `CachedRun.peakCacheBytes`.
 *
 * @param rows of a network evaluation: twice the images with guidance
 * @param mending of the adjustment, where one mends the run
 */
export function peakCacheBytes(
  network: NetworkOutline,
  schedule: Pick<Schedule, "blocks" | "timesteps">,
  rows: number,
  reuse: Pick<ReuseRule, "history">,
  mending: Mending = UNMENDED,
): number {
  const history = Math.max(reuse.history, mending.history);
  const keepsInput = new Set(mending.inputsOf);
  const plan = executionPlan(schedule, { history });
  const kept = new Map<string, number>();
  let [bytesKept, peak] = [0, 0];
  for (const evaluation of schedule.timesteps.keys()) {
    for (const { id, action, bytesPerRow } of stagesAt(network, plan, evaluation)) {
      const values = kept.get(id) ?? 0;
      if (action === "keep" && values < history) {
        kept.set(id, values + 1);
        bytesKept += bytesPerRow * rows * (keepsInput.has(id) ? 2 : 1);
      }
      peak = Math.max(peak, bytesKept);
    }
  }
  return peak;
}
