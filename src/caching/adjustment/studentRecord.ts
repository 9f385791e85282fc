/** What a student and its teacher did at one evaluation: enough to say how far they are apart, and to run it backwards. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Device } from "../../engine/device.js";
import type { RecordedStage } from "../../engine/network/networkGradients.js";
import type { BlockObserver, Evaluation, Execution } from "../../engine/network/observer.js";
import type { StandIn } from "../../engine/network/standIn.js";
import { releaseAll } from "../../engine/tensor.js";
import type { Tensor } from "../../engine/tensor.js";
import { UNET_OUTPUT } from "../../graphs/unet.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { distance, guidedDistance } from "./distillationLoss.js";
import type { TaughtLoss } from "./distillationLoss.js";
import type { Quantity } from "./moments.js";
import { numbers } from "./regressors.js";

export class StudentRecord {
  readonly evaluation: Evaluation;
  readonly #keepsValues: boolean;
  /** every value that the student's blocks read */
  readonly values = new Map<string, Tensor>();
  /** what ran, in execution order */
  readonly stages: { readonly id: string; readonly how: Execution }[] = [];
  /** block id → what stood in for its C, as a sum */
  readonly standIns = new Map<string, StandIn>();
  /** block id → the sum's value */
  readonly branches = new Map<string, Tensor>();
  /** block id → what the stand-in was made of, a map for each term */
  readonly regressors = new Map<string, readonly Quantity[]>();
  /** block id → what the teacher's block gave */
  readonly #teacher = new Map<string, Float32Array>();

  /** @param keepsValues whether it will be run backwards */
  constructor(evaluation: Evaluation, keepsValues: boolean) {
    this.evaluation = evaluation;
    this.#keepsValues = keepsValues;
  }

  /** Runs the teacher on what the student is given; what the loss compares is kept. */
  async teach(
    { network, device }: Pipeline,
    inputs: Parameters<NonNullable<SamplingHook["evaluating"]>>[0],
    kind: TaughtLoss,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { evaluation } = this;
    const observer: BlockObserver = {
      answer: () => ({ look: ["out"] }),
      look: async ({ id }, { out }) => {
        if (out !== undefined) this.#teacher.set(id, await numbers(device, out));
        return undefined;
      },
    };
    const observers = kind === "blocks" ? [observer] : [];
    const output = await network.forward(inputs, { evaluation, observers, signal });
    this.#teacher.set(UNET_OUTPUT, output.data);
  }

  /** A value that blocks read. */
  value(name: string, value: Tensor): void {
    if (this.#keepsValues) this.values.set(name, value.retain());
  }

  /** What ran, as it is run backwards. */
  recorded(): readonly RecordedStage[] {
    return this.stages.map(({ id, how }) => ({ id, how, branch: this.branches.get(id) }));
  }

  /** How far the two are apart, and its gradient at what the student's blocks gave. */
  async loss(
    device: Device,
    kind: TaughtLoss,
    guidanceScale: number,
  ): Promise<{ value: number; seeds: ReadonlyMap<string, FloatTensor> }> {
    const ids = kind === "output" ? [UNET_OUTPUT] : this.stages.map(({ id }) => id);
    const seeds = new Map<string, FloatTensor>();
    let total = 0;
    for (const id of ids) {
      const [tensor, target] = [this.values.get(id), this.#teacher.get(id)];
      if (tensor === undefined || target === undefined) throw new TypeError(`${id}: not recorded`);
      const out = await numbers(device, tensor);
      const guided = kind === "output" && this.evaluation.guided;
      const { value, gradient } = guided
        ? guidedDistance(out, target, guidanceScale)
        : distance(out, target, ids.length);
      total += value;
      seeds.set(id, { dims: tensor.dims, data: gradient });
    }
    return { value: total, seeds };
  }

  /** Gives up all that was recorded. */
  release(): void {
    releaseAll([...this.values.values(), ...this.branches.values()]);
    this.values.clear();
    this.branches.clear();
    this.standIns.clear();
    this.regressors.clear();
    this.#teacher.clear();
  }
}
