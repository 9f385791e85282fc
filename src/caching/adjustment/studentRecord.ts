/** What a student and its teacher did at one evaluation: enough to say how far they are apart, and to run it backwards. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Device } from "../../engine/device.js";
import type { RecordedStage } from "../../engine/network/networkGradients.js";
import type { Evaluation, Execution } from "../../engine/network/observer.js";
import { releaseAll } from "../../engine/tensor.js";
import type { Tensor } from "../../engine/tensor.js";
import { UNET_OUTPUT } from "../../graphs/unet.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { distance, guidedDistance } from "./distillationLoss.js";
import type { DistillationLoss } from "./distillationLoss.js";
import type { Quantity } from "./moments.js";
import { numbers } from "./regressors.js";

export class StudentRecord {
  /** every value that the student's blocks read */
  readonly values = new Map<string, Tensor>();
  /** what ran, in execution order */
  readonly stages: { readonly id: string; readonly how: Execution }[] = [];
  /** block id → the stand-in, mended */
  readonly branches = new Map<string, Tensor>();
  /** block id → what the stand-in was made of, a map for each term */
  readonly regressors = new Map<string, readonly Quantity[]>();
  /** block id → what the teacher's block gave */
  readonly #teacher = new Map<string, Float32Array>();

  /** Whether the teacher ran at this evaluation, so that the student's values are kept. */
  get isTaught(): boolean {
    return this.#teacher.size > 0;
  }

  async teach(
    { network, device }: Pipeline,
    inputs: Parameters<NonNullable<SamplingHook["evaluating"]>>[0],
    evaluation: Evaluation,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await network.forward(inputs, {
      evaluation,
      signal,
      observers: [
        {
          answer: () => ({ look: ["out"] }),
          look: async ({ id }, { out }) => {
            if (out !== undefined) this.#teacher.set(id, await numbers(device, out));
            return undefined;
          },
        },
      ],
    });
  }

  value(name: string, value: Tensor): void {
    if (this.isTaught) this.values.set(name, value.retain());
  }

  /** From the first stand-in on: before it there is nothing to train. */
  recorded(): readonly RecordedStage[] {
    const first = this.stages.findIndex(({ how }) => how === "reused");
    return this.stages.slice(first).map(({ id, how }) => ({ id, how, branch: this.branches.get(id) }));
  }

  /** How far the two are apart, and its gradient at what the student's blocks gave. */
  async loss(
    device: Device,
    kind: DistillationLoss,
    evaluation: Evaluation,
    guidanceScale: number,
  ): Promise<{ value: number; seeds: ReadonlyMap<string, FloatTensor> }> {
    const ids = kind === "output" ? [UNET_OUTPUT] : this.stages.map(({ id }) => id);
    const seeds = new Map<string, FloatTensor>();
    let total = 0;
    for (const id of ids) {
      const [tensor, target] = [this.values.get(id), this.#teacher.get(id)];
      if (tensor === undefined || target === undefined) throw new TypeError(`${id}: not recorded`);
      const out = await numbers(device, tensor);
      const guided = kind === "output" && evaluation.guided;
      const { value, gradient } = guided
        ? guidedDistance(out, target, guidanceScale)
        : distance(out, target, ids.length);
      total += value;
      seeds.set(id, { dims: tensor.dims, data: gradient });
    }
    return { value: total, seeds };
  }

  clear(): void {
    releaseAll([...this.values.values(), ...this.branches.values()]);
    this.values.clear();
    this.stages.length = 0;
    this.branches.clear();
    this.regressors.clear();
    this.#teacher.clear();
  }
}
