/**
 * Runs a network backwards, block by block: from gradients at some blocks' results to the gradients at everything that
 * they read.
 */
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
import type { CompiledGraph } from "../backend.js";
import { releaseAll } from "../tensor.js";
import type { Tensor } from "../tensor.js";
import { download, upload } from "../transfer.js";
import type { BlockNetwork } from "./blockNetwork.js";

/** What an evaluation did, in execution order: enough to run it backwards. */
export interface RecordedStage {
  readonly id: string;
  readonly how: "computed" | "reused";
  /** the C that a reused block was given */
  readonly branch?: Tensor;
}

export interface Gradients {
  /** value → gradient, of every value that a gradient reached: blocks' outs, and the network's `sample` */
  readonly values: ReadonlyMap<string, FloatTensor>;
  /** block id → gradient at the C that was given to it */
  readonly branches: ReadonlyMap<string, FloatTensor>;
}

/** A network's gradient graphs, compiled when first needed. */
export class NetworkGradients {
  readonly #network: BlockNetwork;
  readonly #openWeights: () => Promise<Weights>;
  readonly #graphs = new Map<string, Lazy<CompiledGraph>>();

  /** @param openWeights opens the network's weights, when a graph is compiled */
  constructor(network: BlockNetwork, openWeights: () => Promise<Weights>) {
    this.#network = network;
    this.#openWeights = openWeights;
  }

  /**
   * The gradients of a number that depends on some of an evaluation's values.
   *
   * @param stages what ran, in execution order
   * @param values every value that a stage read
   * @param seeds value → gradient of the number with respect to it, where it is read directly
   * @param branchSeeds block id → the same of a computed block's C
   * @throws UnsupportedError in float16
   */
  async backward(
    stages: readonly RecordedStage[],
    values: ReadonlyMap<string, Tensor>,
    seeds: ReadonlyMap<string, FloatTensor>,
    branchSeeds: ReadonlyMap<string, FloatTensor> = new Map(),
  ): Promise<Gradients> {
    const gradients = new Map([...seeds].map(([name, { dims, data }]) => [name, { dims, data: data.slice() }]));
    const branches = new Map<string, FloatTensor>();
    const byId = new Map(this.#network.unet.stages.map((stage) => [stage.id, stage]));
    for (const { id, how, branch } of [...stages].reverse()) {
      const stage = byId.get(id);
      if (stage === undefined) continue;
      let atBranch = branchSeeds.get(id);
      if (atBranch !== undefined && !hasMerge(stage)) {
        // Without a residual, out is C.
        add(gradients, id, atBranch);
        atBranch = undefined;
      }
      const atOut = gradients.get(id) ?? zeros(atBranch);
      if (atOut === undefined) continue;
      const results = await this.#run(stage, { how, branch, atBranch }, values, atOut);
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
    { how, branch, atBranch }: Omit<RecordedStage, "id"> & { atBranch?: FloatTensor },
    values: ReadonlyMap<string, Tensor>,
    atOut: FloatTensor,
  ): Promise<(readonly [name: string, gradient: FloatTensor])[]> {
    const reused = how === "reused";
    // Without a residual, out is C.
    if (reused && !hasMerge(stage)) return [[BRANCH_GRADIENT, atOut]];
    const which = reused && isBlock(stage) ? stage.mergeInputs : featureInputs(stage);
    if (which.length === 0) return [];
    const { device } = this.#network;
    using gradient = upload(device, atOut);
    const feeds: Record<string, Tensor> = { [OUT_GRADIENT]: gradient };
    for (const [index, { value }] of stage.inputs.entries()) {
      if (reused && !which.includes(index)) continue;
      const tensor = values.get(value);
      if (tensor === undefined) throw new TypeError(`${stage.id}: ${value} was not recorded`);
      feeds[`input_${index}`] = tensor;
    }
    if (reused && branch !== undefined) feeds.C = branch;
    using seed = atBranch && upload(device, atBranch);
    if (seed !== undefined) feeds[BRANCH_GRADIENT] = seed;
    const names = [...which.map(inputGradientName), ...(reused ? [BRANCH_GRADIENT] : [])];
    const graph = await this.#graphOf(stage, reused ? "merge" : seed === undefined ? "compute" : "compute and keep");
    const results = await graph.run(feeds, names);
    try {
      const found: (readonly [string, FloatTensor])[] = [];
      for (const [place, index] of which.entries())
        found.push([stage.inputs[index].value, await download(device, results[place])]);
      if (reused) found.push([BRANCH_GRADIENT, await download(device, results[which.length])]);
      return found;
    } finally {
      releaseAll(results);
    }
  }

  #graphOf(stage: Stage | Block, form: "merge" | "compute" | "compute and keep"): Promise<CompiledGraph> {
    const key = `${stage.id} ${form}`;
    const { precision, backend } = this.#network.device;
    const known =
      this.#graphs.get(key) ??
      new Lazy(async () => {
        const graph =
          form === "merge" && hasMerge(stage)
            ? mergeGradientGraph(stage, precision)
            : computeGradientGraph(stage, precision, form === "compute and keep");
        const weights = await this.#openWeights();
        try {
          return await backend.compile(await graph.encode(weights));
        } finally {
          await weights.close();
        }
      });
    this.#graphs.set(key, known);
    return known.get();
  }

  /** Releases every graph. */
  async dispose(): Promise<void> {
    for (const graph of this.#graphs.values()) (await graph.take())?.release();
  }
}

function zeros(like: FloatTensor | undefined): FloatTensor | undefined {
  return like && { dims: like.dims, data: new Float32Array(like.data.length) };
}

function add(gradients: Map<string, FloatTensor>, name: string, gradient: FloatTensor): void {
  const before = gradients.get(name);
  if (before === undefined) {
    gradients.set(name, { dims: gradient.dims, data: gradient.data.slice() });
    return;
  }
  for (let index = 0; index < gradient.data.length; index++) before.data[index] += gradient.data[index];
}
