/** Runs a network backwards, block by block: from gradients at some blocks' results to those at all that they read. */
import type * as ort from "onnxruntime-node";
import { hasMerge, isBlock } from "../../graphs/block.js";
import type { Block, Stage } from "../../graphs/block.js";
import {
  BRANCH_GRADIENT,
  OUT_GRADIENT,
  computeGradientGraph,
  featureInputs,
  inputGradientName,
  mergeGradientGraph,
} from "../../graphs/gradients/blockGradient.js";
import type { Weights } from "../../models/weights.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { Lazy } from "../lazy.js";
import { release } from "../ownership.js";
import { createSession } from "../session.js";
import type { DeviceTensor } from "../session.js";
import { fromHost, toHost } from "../transfer.js";
import type { BlockNetwork } from "./blockNetwork.js";

/** What an evaluation did, in execution order: enough to run it backwards. */
export interface RecordedStage {
  readonly id: string;
  readonly how: "computed" | "reused";
  /** of a block whose C was given: that C */
  readonly branch?: DeviceTensor;
}

export interface Gradients {
  /** value → gradient, of every value that a gradient reached: blocks' outs, and the network's `sample` */
  readonly values: ReadonlyMap<string, FloatTensor>;
  /** block id → gradient at the C that was given to it */
  readonly branches: ReadonlyMap<string, FloatTensor>;
}

/** A network's gradient sessions, compiled when first needed. */
export class NetworkGradients {
  readonly #network: BlockNetwork;
  readonly #weights: Weights;
  readonly #sessions = new Map<string, Lazy<ort.InferenceSession>>();

  /** @param weights the network's; closed with this */
  constructor(network: BlockNetwork, weights: Weights) {
    this.#network = network;
    this.#weights = weights;
  }

  /**
   * The gradients of a number that depends on some of an evaluation's values.
   *
   * @param stages what ran, in execution order
   * @param values every value that a stage read
   * @param seeds value → gradient of the number with respect to it, where it is read directly
   * @throws UnsupportedError in float16
   */
  async backward(
    stages: readonly RecordedStage[],
    values: ReadonlyMap<string, DeviceTensor>,
    seeds: ReadonlyMap<string, FloatTensor>,
  ): Promise<Gradients> {
    const gradients = new Map([...seeds].map(([name, { dims, data }]) => [name, { dims, data: data.slice() }]));
    const branches = new Map<string, FloatTensor>();
    const byId = new Map(this.#network.unet.stages.map((stage) => [stage.id, stage]));
    for (const { id, how, branch } of [...stages].reverse()) {
      const stage = byId.get(id);
      const atOut = gradients.get(id);
      if (stage === undefined || atOut === undefined) continue;
      const results = await this.#run(stage, how, branch, values, atOut);
      for (const [name, gradient] of results) {
        if (name === BRANCH_GRADIENT) branches.set(id, gradient);
        else add(gradients, name, gradient);
      }
    }
    return { values: gradients, branches };
  }

  /** The gradient at each value that a stage read, and at the C that it was given. */
  async #run(
    stage: Stage | Block,
    how: RecordedStage["how"],
    branch: DeviceTensor | undefined,
    values: ReadonlyMap<string, DeviceTensor>,
    atOut: FloatTensor,
  ): Promise<(readonly [name: string, gradient: FloatTensor])[]> {
    const reused = how === "reused";
    // Without a residual, out is C.
    if (reused && !hasMerge(stage)) return [[BRANCH_GRADIENT, atOut]];
    const which = reused && isBlock(stage) ? stage.mergeInputs : featureInputs(stage);
    if (which.length === 0) return [];
    const feeds: Record<string, DeviceTensor> = { [OUT_GRADIENT]: fromHost(atOut) };
    for (const [index, { value }] of stage.inputs.entries()) {
      const tensor = values.get(value);
      if (tensor === undefined) throw new TypeError(`${stage.id}: ${value} was not recorded`);
      if (!reused || which.includes(index)) feeds[`input_${index}`] = tensor;
    }
    if (reused && branch !== undefined) feeds.C = branch;
    const results = await (await this.#sessionOf(stage, reused)).run(feeds);
    const { device } = this.#network;
    const found: (readonly [string, FloatTensor])[] = [];
    for (const index of which)
      found.push([stage.inputs[index].value, await toHost(device, results[inputGradientName(index)] as DeviceTensor)]);
    if (reused) found.push([BRANCH_GRADIENT, await toHost(device, results[BRANCH_GRADIENT] as DeviceTensor)]);
    if (device.keepsTensors) for (const result of Object.values(results)) release(result as DeviceTensor);
    return found;
  }

  #sessionOf(stage: Stage | Block, reused: boolean): Promise<ort.InferenceSession> {
    const key = `${stage.id} ${reused ? "merge" : "compute"}`;
    const { precision } = this.#network.device;
    const known =
      this.#sessions.get(key) ??
      new Lazy(async () => {
        const graph =
          reused && hasMerge(stage) ? mergeGradientGraph(stage, precision) : computeGradientGraph(stage, precision);
        return createSession(await graph.encode(this.#weights), this.#network.device);
      });
    this.#sessions.set(key, known);
    return known.get();
  }

  /** Releases every session and closes the weights. */
  async dispose(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session.take())?.release();
    await this.#weights.close();
  }
}

function add(gradients: Map<string, FloatTensor>, name: string, gradient: FloatTensor): void {
  const before = gradients.get(name);
  if (before === undefined) {
    gradients.set(name, { dims: gradient.dims, data: gradient.data.slice() });
    return;
  }
  for (let index = 0; index < gradient.data.length; index++) before.data[index] += gradient.data[index];
}
