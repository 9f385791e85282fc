/** The compiled graphs of a network's stages, each made when it is first needed. */
import { BRANCH, OUT, declareInputs, hasMerge, isBlock, outputElementType } from "../../graphs/block.js";
import type { Block, Stage } from "../../graphs/block.js";
import { GraphBuilder } from "../../graphs/graphBuilder.js";
import type { UNet } from "../../graphs/unet.js";
import type { Weights } from "../../models/weights.js";
import type { CompiledGraph } from "../backend.js";
import type { Device } from "../device.js";
import { Lazy } from "../lazy.js";
import { standInGraph } from "./standIn.js";
import type { StandInForm } from "./standIn.js";

/**
 * Where onnxruntime fuses a residual's addition into the convolution before it, a graph that also gives C costs more
 * than one that does not: 4 % of an evaluation of the embedded model, but hardly anything for a large network, where
 * two graphs would hold the weights twice. Networks with up to this many bytes of weights have a graph for each.
 */
const SMALL_NETWORK_BYTES = 512 * 2 ** 20;

/** A graph, and the bytes of weights that it holds. */
interface Compiled {
  readonly graph: CompiledGraph;
  readonly weightBytes: number;
  /** those of them that another graph of the stage holds too */
  readonly sharedBytes: number;
}

/** Compiles stages for one device. A stage's graphs may hold some of the same weights (a ResNet block's shortcut). */
export class StageGraphs {
  readonly #device: Device;
  readonly #openWeights: () => Promise<Weights>;
  readonly #hasPlainForms: boolean;
  readonly #graphs = new Map<Stage | Block, Map<string, Lazy<Compiled>>>();
  #weightBytes = 0;
  #sharedWeightBytes = 0;
  #weights: Weights | undefined;

  /** @param openWeights opens the network's weights; they are closed again once what needs them is compiled */
  constructor(unet: UNet, device: Device, openWeights: () => Promise<Weights>) {
    this.#device = device;
    this.#openWeights = openWeights;
    const bytes = unet.stages.reduce((sum, stage) => sum + this.computeGraph(stage, false).weightBytes(), 0);
    this.#hasPlainForms = bytes <= SMALL_NETWORK_BYTES;
  }

  /** Bytes of weights that graphs hold now, including those held twice. */
  get weightBytes(): number {
    return this.#weightBytes;
  }

  /** Bytes of weights held a second time: by a graph that also gives C, or by one that merges a stand-in. */
  get sharedWeightBytes(): number {
    return this.#sharedWeightBytes;
  }

  /** Opens the weights once for all stages that `work` compiles. */
  async withWeights(work: () => Promise<void>): Promise<void> {
    this.#weights = await this.#openWeights();
    try {
      await work();
    } finally {
      const weights = this.#weights;
      this.#weights = undefined;
      await weights.close();
    }
  }

  /** The graph that runs a stage's branch and merge, and gives OUT; and BRANCH, where somebody looks at it. */
  compute(stage: Stage | Block, looksAtBranch: boolean): Promise<CompiledGraph> {
    const both = hasMerge(stage) && (looksAtBranch || !this.#hasPlainForms);
    return this.#get(stage, both ? "C and out" : "out", () => this.computeGraph(stage, both));
  }

  /** The graph that gives OUT from a stand-in and the merge's inputs. */
  standIn(block: Block, form: StandInForm): Promise<CompiledGraph> {
    return this.#get(block, JSON.stringify(form), () => standInGraph(block, form, this.#device, OUT));
  }

  /** Releases a stage's graphs; they are made again when next needed. */
  async release(stage: Stage | Block): Promise<void> {
    const graphs = this.#graphs.get(stage);
    this.#graphs.delete(stage);
    for (const lazy of graphs?.values() ?? []) {
      const compiled = await lazy.take();
      if (compiled === undefined) continue;
      compiled.graph.release();
      this.#weightBytes -= compiled.weightBytes;
      this.#sharedWeightBytes -= compiled.sharedBytes;
    }
  }

  /** Releases every graph. */
  async releaseAll(): Promise<void> {
    for (const stage of [...this.#graphs.keys()]) await this.release(stage);
  }

  /** The graph of a stage, with C as a result where `givesBranch`; nothing is compiled. */
  computeGraph(stage: Stage | Block, givesBranch: boolean): GraphBuilder {
    const graph = new GraphBuilder(stage.id, this.#device);
    graph.allowRepeating();
    const inputs = declareInputs(graph, stage);
    const branch = stage.branch(graph, inputs);
    const elementType = outputElementType(stage, this.#device.precision);
    if (isBlock(stage) && givesBranch) graph.output(BRANCH, branch, stage.outputDims, elementType);
    graph.output(OUT, hasMerge(stage) ? stage.merge(graph, inputs, branch) : branch, stage.outputDims, elementType);
    return graph;
  }

  async #get(stage: Stage | Block, form: string, build: () => GraphBuilder): Promise<CompiledGraph> {
    const forms = this.#graphs.get(stage) ?? new Map<string, Lazy<Compiled>>();
    this.#graphs.set(stage, forms);
    const isFirst = forms.size === 0;
    const lazy = forms.get(form) ?? new Lazy(() => this.#compile(build(), isFirst));
    forms.set(form, lazy);
    return (await lazy.get()).graph;
  }

  async #compile(graph: GraphBuilder, isFirst: boolean): Promise<Compiled> {
    const weightBytes = graph.weightBytes();
    const weights = this.#weights ?? (weightBytes > 0 ? await this.#openWeights() : undefined);
    try {
      const model = weights === undefined ? graph.encodeWithoutWeights() : await graph.encode(weights);
      const compiled = await this.#device.backend.compile(model);
      const sharedBytes = isFirst ? 0 : weightBytes;
      this.#weightBytes += weightBytes;
      this.#sharedWeightBytes += sharedBytes;
      return { graph: compiled, weightBytes, sharedBytes };
    } finally {
      if (weights !== this.#weights) await weights?.close();
    }
  }
}
