/** How much of the ideal speed-up a cached run really reaches, timed beside a plain one. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import type { BlockObserver } from "../../engine/network/observer.js";
import type { UNetInputs } from "../../engine/network/unetInputs.js";
import { cachedRun } from "../run/cachedRun.js";
import { hold } from "../run/reuseRule.js";
import type { ReuseRule } from "../run/reuseRule.js";
import { scheduleSampling } from "../schedule/scheduleSampling.js";
import type { Schedule } from "../schedule/schedule.js";

export interface RealisedOptions {
  /** the network's inputs without the timestep: from `timingInputs`, or your own */
  readonly inputs: Omit<UNetInputs, "timestep">;
  /** what stands in for C. Default: hold */
  readonly reuse?: ReuseRule;
  /** checked between blocks */
  readonly signal?: AbortSignal;
}

/** One plain and one cached run of all of a schedule's network evaluations. */
export interface Realised {
  readonly plainSeconds: number;
  readonly cachedSeconds: number;
  /** what the plain run spent on the blocks that the cached one did not compute */
  readonly skippedSeconds: number;
}

/**
 * Times the network evaluations of a schedule, plain and then cached; solver, text and decoding are left out.
 *
 * @throws ArgumentError where the schedule does not fit the pipeline; InterruptedError on abort
 */
export async function timeRealised(
  pipeline: Pipeline,
  schedule: Schedule,
  { inputs, reuse = hold, signal }: RealisedOptions,
): Promise<Realised> {
  const evaluate = async (
    observer?: BlockObserver,
  ): Promise<{ seconds: number; stages: readonly ReadonlyMap<string, number>[] }> => {
    const stages: Map<string, number>[] = [];
    const started = performance.now();
    for (const [index, timestep] of schedule.timesteps.entries()) {
      const taken = new Map<string, number>();
      const evaluation = { index, timestep, images: inputs.sample.dims[0], guided: false };
      await pipeline.network.forward(
        { ...inputs, timestep },
        {
          observers: observer === undefined ? [] : [observer],
          evaluation,
          signal,
          onStageTime: (id, seconds) => taken.set(id, seconds),
        },
      );
      stages.push(taken);
    }
    return { seconds: (performance.now() - started) / 1000, stages };
  };
  const plain = await evaluate();
  const hook = cachedRun(schedule, { reuse });
  try {
    await hook.begin?.(pipeline, planEvaluations(pipeline, scheduleSampling(schedule)));
    const cached = await evaluate(hook);
    // What ran neither its branch nor its merge was not needed by anything: it is skipped as well.
    const computed = (id: string, evaluation: number): boolean =>
      hook.computedAt.get(id)?.includes(evaluation) ?? false;
    const blocks = new Set(pipeline.network.blocks.map(({ id }) => id));
    const skipped = plain.stages.flatMap((stages, evaluation) =>
      [...stages].filter(([id]) => blocks.has(id) && !computed(id, evaluation)),
    );
    return {
      plainSeconds: plain.seconds,
      cachedSeconds: cached.seconds,
      skippedSeconds: skipped.reduce((sum, [, seconds]) => sum + seconds, 0),
    };
  } finally {
    hook.end?.();
  }
}

/** The speed-up that was reached, and the ideal one, with skipped blocks costing nothing. */
export function speedups({ plainSeconds, cachedSeconds, skippedSeconds }: Realised): {
  readonly realised: number;
  readonly ideal: number;
} {
  return { realised: plainSeconds / cachedSeconds, ideal: plainSeconds / (plainSeconds - skippedSeconds) };
}
