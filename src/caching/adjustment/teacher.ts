import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Evaluation } from "../../engine/network/observer.js";
import { releaseAll } from "../../engine/tensor.js";
import type { Tensor } from "../../engine/tensor.js";
import type { Block, BlockKind } from "../../graphs/block.js";
import { computesAt } from "../schedule/schedule.js";
import type { Schedule } from "../schedule/schedule.js";
import { difference, numbers } from "./regressors.js";

/** What stand-ins are fitted to. */
export const FIT_TARGETS = ["branch", "out"] as const;
export type FitTarget =
  /** the teacher's C */
  | "branch"
  /** what makes the student's out = x + C the teacher's: so a stand-in also mends what the student's blocks before it
      did to x. Blocks whose out is not of this form are fitted to the teacher's C */
  | "out";

/** Kinds of block whose out is x + C. */
const ADDS_INPUT: ReadonlySet<BlockKind> = new Set(["transformer", "attn1", "attn2", "ff"]);

/** Runs without caching on the student's states, and keeps what the stand-ins of the student are fitted to. */
export class Teacher {
  readonly #pipeline: Pipeline;
  readonly #schedule: Schedule;
  readonly #target: FitTarget;
  readonly #signal: AbortSignal | undefined;
  readonly #kept = new Map<string, Tensor>();

  constructor(pipeline: Pipeline, schedule: Schedule, target: FitTarget, signal: AbortSignal | undefined) {
    this.#pipeline = pipeline;
    this.#schedule = schedule;
    this.#target = target;
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
          answer: (block) => {
            if (!isReused(block.id)) return "compute";
            return { look: [this.#looksAtOut(block) ? "out" : "branch"] };
          },
          look: async (block, { branch, out }) => {
            const looked = this.#looksAtOut(block) ? out : branch;
            if (looked !== undefined) this.#kept.set(block.id, looked.retain());
            return undefined;
          },
        },
      ],
    });
  }

  /**
   * What the student's C of a block would best be, as numbers.
   *
   * @param input the student's
   */
  async target(block: Block, input: Tensor | undefined): Promise<Float32Array> {
    const { device } = this.#pipeline;
    const kept = this.#kept.get(block.id);
    if (kept === undefined) throw new TypeError(`${block.id}: the teacher did not run`);
    const values = await numbers(device, kept);
    if (!this.#looksAtOut(block)) return values;
    if (input === undefined) throw new TypeError(`${block.id}: expected its input, found none`);
    return difference(values, await numbers(device, input));
  }

  releaseAll(): void {
    releaseAll(this.#kept.values());
    this.#kept.clear();
  }

  #looksAtOut(block: Block): boolean {
    return this.#target === "out" && ADDS_INPUT.has(block.kind);
  }
}
