/** What a schedule computes, counted in multiply-adds: the same on every machine. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import { ArgumentError } from "../../errors.js";
import { blockMap } from "../../instrument/blockMap.js";
import { executionPlan, stagesAt } from "../run/executionPlan.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { networkOutline } from "./networkOutline.js";
import type { NetworkOutline } from "./networkOutline.js";

/** A network, and the work of each of its blocks. Plain data. */
export interface NetworkWork {
  readonly outline: NetworkOutline;
  /** block id → multiply-adds of one batch row; stages that are not layer blocks count nothing */
  readonly multiplyAdds: Readonly<Record<string, number>>;
}

/** The work of a pipeline's blocks at a latent height and width. */
export function networkWork(
  pipeline: Pipeline,
  latentSize: readonly [height: number, width: number] = pipeline.defaultLatentSize,
): NetworkWork {
  const blocks = blockMap(pipeline, latentSize).filter(({ inside }) => inside === undefined);
  return {
    outline: networkOutline(pipeline, latentSize),
    multiplyAdds: Object.fromEntries(blocks.map(({ id, multiplyAdds }) => [id, multiplyAdds])),
  };
}

/**
 * Multiply-adds per batch row over a whole sampling, in the branches that run. A reused block counts nothing, nor does
 * one whose result nothing reads. Throws ArgumentError where the schedule names a block that the network does not have.
 */
export function multiplyAddsOf(
  { outline, multiplyAdds }: NetworkWork,
  schedule: Pick<Schedule, "timesteps" | "blocks">,
  reuse: Pick<ReuseRule, "history"> = hold,
): number {
  const unknown = Object.keys(schedule.blocks).find((id) => !outline.some((stage) => stage.id === id));
  if (unknown !== undefined)
    throw new ArgumentError(`schedule: expected blocks of the network, found ${unknown} — give the model of the study`);
  const plan = executionPlan(schedule, reuse);
  return [...schedule.timesteps.keys()]
    .flatMap((evaluation) => stagesAt(outline, plan, evaluation))
    .filter(({ action }) => typeof action !== "number")
    .reduce((sum, { id }) => sum + (multiplyAdds[id] ?? 0), 0);
}
