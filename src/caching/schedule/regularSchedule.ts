import type { Pipeline } from "../../diffusion/pipeline.js";
import { planEvaluations } from "../../diffusion/plannedEvaluations.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import { samplingRecord } from "../../diffusion/samplingRecord.js";
import type { BlockKind } from "../../graphs/block.js";
import { everyInterval } from "../heuristics/uniform.js";
import { scheduleOf } from "./createSchedule.js";
import type { Schedule } from "./schedule.js";

export interface RegularScheduleOptions extends Pick<
  SampleOptions,
  "solver" | "schedulerConfig" | "steps" | "guidanceScale"
> {
  /** a block computes once in this many network evaluations */
  readonly interval: number;
  /** kinds of block that are cached; `conv_out` skips whole evaluations, since nothing else is read */
  readonly kinds: readonly BlockKind[];
}

/**
 * A schedule that needs no profile: blocks of the given kinds compute at one interval.
 *
 * @throws ArgumentError where the interval is not a positive integer, or the sampling does not fit the model
 */
export async function regularSchedule(
  pipeline: Pipeline,
  { interval, kinds, ...sampling }: RegularScheduleOptions,
): Promise<Schedule> {
  const record = await samplingRecord(pipeline, planEvaluations(pipeline, sampling));
  const computed = [...record.timesteps.keys()].filter(everyInterval(interval));
  const blocks = Object.fromEntries(
    pipeline.network.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => [id, computed]),
  );
  return scheduleOf(record, { heuristic: { name: "regular", interval, kinds }, blocks });
}
