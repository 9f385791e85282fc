/** What one evaluation does with each stage, settled before any runs. */
import { isBlock, mergeReads } from "../../graphs/block.js";
import type { Block, Stage } from "../../graphs/block.js";
import { UNET_OUTPUT, computeReads } from "../../graphs/unet.js";
import type { UNet } from "../../graphs/unet.js";
import { liveStages } from "./liveness.js";
import type { EvaluatedStage } from "./liveness.js";
import type { BlockObserver, Evaluation, StandInMaker, Visible } from "./observer.js";
import type { StandIn } from "./standIn.js";

/** An observer that looks at a block, and what it asked to see. */
export interface Looker {
  readonly observer: BlockObserver;
  readonly results: readonly Visible[];
}

/** A stage as one evaluation runs it. */
export interface PlannedStage extends EvaluatedStage {
  readonly stage: Stage | Block;
  /** takes the branch's place; the branch runs where absent */
  readonly standIn?: StandIn | StandInMaker;
  /** in their order; none where a stand-in takes the branch's place */
  readonly lookers: readonly Looker[];
}

/**
 * Asks the observers of every stage, in execution order. The first stand-in is used, and nobody looks at what it gives.
 * Stages that nothing reads because of stand-ins are left out.
 *
 * @param inParts spatial transformers that run in parts, so that what is inside can be observed
 */
export function planEvaluation(
  unet: UNet,
  inParts: ReadonlySet<string>,
  observers: readonly BlockObserver[],
  evaluation: Evaluation | undefined,
): readonly PlannedStage[] {
  const stages = unet.stages.flatMap((stage) =>
    isBlock(stage) && stage.parts && inParts.has(stage.id) ? stage.parts : [stage],
  );
  const planned = stages.map((stage): PlannedStage => {
    const { id } = stage;
    const computed = { id, stage, reads: computeReads(unet, stage) };
    if (!isBlock(stage) || evaluation === undefined) return { ...computed, lookers: [], observed: false };
    const lookers: Looker[] = [];
    for (const observer of observers) {
      const answer = observer.answer(stage, evaluation);
      if (answer === "compute") continue;
      if ("standIn" in answer)
        return { id, stage, reads: mergeReads(stage), standIn: answer.standIn, lookers: [], observed: false };
      if (answer.look.length > 0) lookers.push({ observer, results: answer.look });
    }
    return { ...computed, lookers, observed: lookers.length > 0 };
  });
  return planned.some(({ standIn }) => standIn !== undefined) ? liveStages(planned, UNET_OUTPUT) : planned;
}

/**
 * For each stage, the values that can be released after it: it is the last to read them, or it made one that nobody
 * reads.
 */
export function lastReads(planned: readonly PlannedStage[]): readonly (readonly string[])[] {
  const last = new Map<string, number>();
  planned.forEach(({ stage, reads }, index) => {
    if (stage.id !== UNET_OUTPUT) last.set(stage.id, index);
    for (const value of reads) last.set(value, index);
  });
  const ending: string[][] = planned.map(() => []);
  for (const [value, index] of last) ending[index].push(value);
  return ending;
}
