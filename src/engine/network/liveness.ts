/** Which stages of a network evaluation must run. */

/** A stage as one evaluation would run it. */
export interface EvaluatedStage {
  /** other stages read its result under this name */
  readonly id: string;
  /** the values that it reads in this evaluation */
  readonly reads: readonly string[];
  /** whether someone besides the network looks at what it gives */
  readonly observed: boolean;
}

/**
 * The stages without those whose results nothing reads: where a whole stretch of the network is reused, the blocks
 * before its samplers' stand-ins need not run. Observed stages run in any case.
 *
 * @param stages in execution order
 * @param output the id of the stage that gives the network's result
 */
export function liveStages<S extends EvaluatedStage>(stages: readonly S[], output: string): readonly S[] {
  const needed = new Set<string>([output]);
  const live: S[] = [];
  for (const stage of [...stages].reverse()) {
    if (!stage.observed && !needed.has(stage.id)) continue;
    live.push(stage);
    for (const value of stage.reads) needed.add(value);
  }
  return live.reverse();
}
