import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingPlan.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { release, retain } from "../../engine/ownership.js";
import type { DeviceTensor } from "../../engine/session.js";
import { computesAt } from "../schedule/schedule.js";
import type { Schedule } from "../schedule/schedule.js";

/** Runs without caching on the student's states, and keeps C of the blocks that the student reuses. */
export class Teacher {
  readonly #pipeline: Pipeline;
  readonly #schedule: Schedule;
  readonly #signal: AbortSignal | undefined;
  readonly #branches = new Map<string, DeviceTensor>();

  constructor(pipeline: Pipeline, schedule: Schedule, signal: AbortSignal | undefined) {
    this.#pipeline = pipeline;
    this.#schedule = schedule;
    this.#signal = signal;
  }

  async run(inputs: Parameters<NonNullable<SamplingHook["evaluating"]>>[0], evaluation: Evaluation): Promise<void> {
    const isReused = (id: string): boolean => !computesAt(this.#schedule, id, evaluation.index);
    if (!Object.keys(this.#schedule.blocks).some(isReused)) return;
    await this.#pipeline.network.forward(inputs, {
      evaluation,
      signal: this.#signal,
      observer: {
        wants: ({ id }) => ({ branch: isReused(id), out: false }),
        computed: async ({ id }, { branch }) => {
          this.#branches.set(id, retain(branch));
          return undefined;
        },
      },
    });
  }

  take(id: string): DeviceTensor {
    const branch = this.#branches.get(id);
    if (branch === undefined) throw new TypeError(`${id}: the teacher did not run`);
    return branch;
  }

  releaseAll(): void {
    for (const branch of this.#branches.values()) release(branch);
    this.#branches.clear();
  }
}
