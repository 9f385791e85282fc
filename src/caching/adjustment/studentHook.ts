import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import { watchStandIn } from "../../engine/network/observer.js";
import type { Tensor } from "../../engine/tensor.js";
import { adjustmentMender } from "../run/adjustmentMender.js";
import { mendedRun } from "../run/cachedRun.js";
import type { Mender } from "../run/mendedSum.js";
import type { ReuseRule } from "../run/reuseRule.js";
import { computesAt } from "../schedule/schedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { termsOf } from "./adjustment.js";
import type { DistilledParameters } from "./distilledParameters.js";
import { regressorsOf } from "./regressors.js";
import { StudentRecord } from "./studentRecord.js";

/** Where a value of C that stands in later was computed. */
export interface Origin {
  readonly block: string;
  readonly evaluation: number;
}

export interface StudentHook extends SamplingHook {
  /** of each evaluation so far */
  readonly records: readonly StudentRecord[];
  /** of every C that was kept */
  readonly origins: ReadonlyMap<Tensor, Origin>;
}

export interface StudentOptions {
  readonly reuse: ReuseRule;
  /** whether an evaluation will be run backwards */
  readonly keepsValues: (evaluation: number) => boolean;
  /** told before the student runs an evaluation, with what the network is about to be given */
  readonly before?: (
    inputs: Parameters<NonNullable<SamplingHook["evaluating"]>>[0],
    record: StudentRecord,
  ) => Promise<void>;
  /** told after it */
  readonly after?: (record: StudentRecord) => Promise<void>;
}

/** Whether some block is reused at an evaluation. */
export function reusesAt(schedule: Schedule, evaluation: number): boolean {
  return Object.keys(schedule.blocks).some((id) => !computesAt(schedule, id, evaluation));
}

/** Samples by a schedule, mended by the coefficients as they are, and records what it does. */
export function studentHook(
  pipeline: Pipeline,
  schedule: Schedule,
  trained: DistilledParameters,
  { reuse, keepsValues, before, after }: StudentOptions,
): StudentHook {
  const terms = termsOf(trained.adjustment);
  const records: StudentRecord[] = [];
  const origins = new Map<Tensor, Origin>();
  const now = (): StudentRecord => records[records.length - 1];
  const mender: Mender = {
    terms,
    async coefficients(block, evaluation, parts) {
      now().regressors.set(block.id, await regressorsOf(pipeline.device, terms, parts));
      return adjustmentMender(trained.adjustment, terms).coefficients(block, evaluation, parts);
    },
  };
  const student = mendedRun(schedule, { reuse, mender });
  return {
    ...student,
    records,
    origins,
    async evaluating(inputs, evaluation) {
      records.push(new StudentRecord(evaluation, keepsValues(evaluation.index)));
      trained.refreshRow(evaluation.index);
      await before?.(inputs, now());
    },
    value: (name, value) => now().value(name, value),
    answer: (block, evaluation) =>
      watchStandIn(student.answer(block, evaluation), async (made) => {
        now().standIns.set(block.id, made);
        now().branches.set(block.id, await pipeline.network.standInValue(block, made));
      }),
    async look(block, result, evaluation) {
      if (result.branch !== undefined) origins.set(result.branch, { block: block.id, evaluation: evaluation.index });
      return student.look?.(block, result, evaluation);
    },
    executed(block, how, evaluation) {
      student.executed?.(block, how, evaluation);
      now().stages.push({ id: block.id, how });
    },
    async evaluated(evaluation) {
      await after?.(now());
      await student.evaluated?.(evaluation);
    },
  };
}
