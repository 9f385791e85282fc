import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { releaseAll } from "../../engine/tensor.js";
import type { Tensor } from "../../engine/tensor.js";
import { computesAt } from "../schedule/schedule.js";
import type { Schedule } from "../schedule/schedule.js";

/** Runs without caching on the student's states, and keeps C of the blocks that the student reuses. */
export class Teacher {
  readonly #pipeline: Pipeline;
  readonly #schedule: Schedule;
  readonly #signal: AbortSignal | undefined;
  readonly #branches = new Map<string, Tensor>();

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
      observers: [
        {
          answer: ({ id }) => (isReused(id) ? { look: ["branch"] } : "compute"),
          look: async ({ id }, { branch }) => {
            if (branch !== undefined) this.#branches.set(id, branch.retain());
            return undefined;
          },
        },
      ],
    });
  }

  take(id: string): Tensor {
    const branch = this.#branches.get(id);
    if (branch === undefined) throw new TypeError(`${id}: the teacher did not run`);
    return branch;
  }

  releaseAll(): void {
    releaseAll(this.#branches.values());
    this.#branches.clear();
  }
}
