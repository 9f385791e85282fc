/**
 * Runs a UNet block by block: one session a block, tensors kept on the device between them,
 * each disposed of when its last reader is done.
 */
import * as ort from "onnxruntime-node";
import { ArgumentError, throwIfAborted } from "../../errors.js";
import { activationBytes, keepsMemory } from "../../graphs/activationBytes.js";
import { BRANCH, OUT, declareInputs, hasMerge, isBlock, mergeReads, outputElementType } from "../../graphs/block.js";
import type { Block, MergingBlock, Stage } from "../../graphs/block.js";
import { GraphBuilder } from "../../graphs/graphBuilder.js";
import { UNET_OUTPUT, computeReads, upsampleSizeName } from "../../graphs/unet.js";
import type { UNet } from "../../graphs/unet.js";
import type { Weights } from "../../models/weights.js";
import { elementCount } from "../../numerics/tensor.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { Device } from "../device.js";
import { Lazy } from "../lazy.js";
import { liveStages } from "./liveness.js";
import type { EvaluatedStage } from "./liveness.js";
import type { BlockObserver, BlockWants, Evaluation } from "./observer.js";
import { release, retain } from "../ownership.js";
import { createSession } from "../session.js";
import type { DeviceTensor } from "../session.js";
import { toHost } from "../transfer.js";
import { feedUNet } from "./unetInputs.js";
import type { UNetInputs } from "./unetInputs.js";

export interface CompileOptions {
  readonly onProgress?: (done: number, total: number) => void;
  /** checked between stages */
  readonly signal?: AbortSignal;
}

export interface ForwardOptions {
  readonly observer?: BlockObserver;
  /** which evaluation this is, for the observer */
  readonly evaluation?: Evaluation;
  /** spatial transformers that run in parts, so that what is inside can be observed */
  readonly inParts?: ReadonlySet<string>;
  /** checked between blocks */
  readonly signal?: AbortSignal;
  /** receives each stage's seconds */
  readonly onStageTime?: (id: string, seconds: number) => void;
}

/** A stage as one evaluation runs it. */
interface PlannedStage extends EvaluatedStage {
  readonly stage: Stage | Block;
  /** a stand-in takes the branch's place */
  readonly reused: boolean;
  /** which of its results an observer looks at */
  readonly wants: BlockWants;
}

const NOTHING: BlockWants = { branch: false, out: false };

/** A stage's sessions, compiled when first needed. */
interface StageSessions {
  readonly compute: Lazy<Compiled>;
  /** out from the merge's inputs and a given C */
  readonly merge?: Lazy<Compiled>;
}

interface Compiled {
  readonly session: ort.InferenceSession;
  /** bytes of weights that the session holds */
  readonly weightBytes: number;
  /** of these, those that another session holds too */
  readonly sharedBytes: number;
}

/** A UNet ready to run on one device. */
export class BlockNetwork {
  readonly unet: UNet;
  readonly device: Device;
  readonly #weights: Weights;
  readonly #sessions = new Map<Stage | Block, StageSessions>();
  #weightBytes = 0;
  #sharedWeightBytes = 0;
  /** dims of the largest latents that an evaluation was given */
  #largestSample: readonly number[] = [0, 0, 0, 0];
  /** evaluations that are under way */
  #evaluating = 0;

  private constructor(unet: UNet, weights: Weights, device: Device) {
    this.unet = unet;
    this.#weights = weights;
    this.device = device;
  }

  /**
   * Compiles every stage; one stage's weights are in JavaScript's memory at a time. Where that fails, what was
   * compiled is released and the weights are closed. The largest come first, so that the others find the memory
   * which compiling them took and gave back (1.2 GiB of holes otherwise, for Stable Diffusion 1.5).
   *
   * @throws InvalidFileError for weights that are missing, of another shape or not finite; InterruptedError on abort
   */
  static async load(unet: UNet, weights: Weights, device: Device, options: CompileOptions = {}): Promise<BlockNetwork> {
    const network = new BlockNetwork(unet, weights, device);
    try {
      const sized = unet.stages.map((stage) => ({ stage, bytes: network.#computeGraph(stage).weightBytes() }));
      for (const [index, { stage }] of sized.sort((a, b) => b.bytes - a.bytes).entries()) {
        throwIfAborted(options.signal, "loading");
        await network.#sessionsOf(stage).compute.get();
        options.onProgress?.(index + 1, unet.stages.length);
      }
    } catch (error) {
      await network.dispose();
      throw error;
    }
    return network;
  }

  /** The layer blocks in execution order. */
  get blocks(): readonly Block[] {
    return this.unet.stages.filter(isBlock);
  }

  /** Bytes of weights that the sessions hold now, those held twice included. */
  get weightBytes(): number {
    return this.#weightBytes;
  }

  /** Bytes of weights held twice because a merge session needs them too (a ResNet block's shortcut). */
  get sharedWeightBytes(): number {
    return this.#sharedWeightBytes;
  }

  /** Bytes, about, that the sessions keep of the evaluations so far, on cpu: the most that any of them took. */
  get keptBytes(): number {
    const [rows, , height, width] = this.#largestSample;
    return rows * activationBytes(this.unet, { height, width }).kept;
  }

  /**
   * One network evaluation.
   *
   * @returns the model output [batch, out_channels, height, width] float32, in host memory
   * @throws ArgumentError where the inputs do not fit the network; InterruptedError on abort
   */
  async forward(inputs: UNetInputs, options: ForwardOptions = {}): Promise<FloatTensor> {
    const planned = this.#plan(options);
    const lastReader = lastReaders(planned);
    const fed = feedUNet(this.unet.config, inputs, this.device.precision);
    this.#requireExtent(inputs.sample.dims);
    const values = new Map<string, DeviceTensor>();
    const { observer, evaluation } = options;
    const set = (name: string, value: DeviceTensor): void => {
      values.set(name, value);
      if (evaluation !== undefined) observer?.value?.(name, value, evaluation);
    };
    fed.forEach((value, name) => set(name, value));
    this.#evaluating++;
    try {
      await this.#releaseOtherForms(options.inParts);
      for (const [index, { stage, reused, wants }] of planned.entries()) {
        throwIfAborted(options.signal, "sampling");
        const started = performance.now();
        const target = this.unet.upsampleTargets.get(stage.id);
        if (target !== undefined && !reused) set(upsampleSizeName(stage.id), extentOf(read(values, target)));
        set(stage.id, await (reused ? this.#reuse(stage, values, options) : this.#run(stage, wants, values, options)));
        for (const [name, last] of lastReader) {
          if (last !== index) continue;
          if (!fed.has(name)) release(read(values, name));
          values.delete(name);
        }
        options.onStageTime?.(stage.id, (performance.now() - started) / 1000);
      }
      const { dims } = inputs.sample;
      if (elementCount(dims) > elementCount(this.#largestSample)) this.#largestSample = dims;
      const output = await toHost(this.device, read(values, UNET_OUTPUT));
      if (evaluation !== undefined) await observer?.evaluated?.(evaluation);
      return output;
    } finally {
      this.#evaluating--;
      for (const [name, tensor] of values) if (!fed.has(name)) release(tensor);
    }
  }

  #requireExtent([, , height, width]: readonly number[]): void {
    for (const { id, extent } of this.blocks) {
      const block = extent({ height, width });
      if (block.height < 1 || block.width < 1)
        throw new ArgumentError(
          `sample: expected latents large enough for every block, found ${height}×${width}, at which ${id} would have ${block.height}×${block.width} — take a larger size`,
        );
    }
  }

  /** Releases every session and closes the weights. */
  async dispose(): Promise<void> {
    for (const stage of this.#sessions.keys()) await this.#releaseStage(stage);
    await this.#weights.close();
  }

  /**
   * A spatial transformer is held whole or in parts, so that its weights are there once: the form that
   * this evaluation does not run is released. Evaluations that overlap may need both, and leave them.
   */
  async #releaseOtherForms(inParts: ReadonlySet<string> | undefined): Promise<void> {
    if (this.#evaluating > 1) return;
    for (const stage of this.unet.stages) {
      if (!isBlock(stage) || stage.parts === undefined) continue;
      for (const unused of inParts?.has(stage.id) ? [stage] : stage.parts) await this.#releaseStage(unused);
    }
  }

  async #releaseStage(stage: Stage | Block): Promise<void> {
    const { compute, merge } = this.#sessionsOf(stage);
    for (const compiled of await Promise.all([compute.take(), merge?.take()])) {
      if (compiled === undefined) continue;
      await compiled.session.release();
      this.#weightBytes -= compiled.weightBytes;
      this.#sharedWeightBytes -= compiled.sharedBytes;
    }
  }

  #plan({ inParts, observer, evaluation }: ForwardOptions): readonly PlannedStage[] {
    const stages = this.unet.stages.flatMap((stage) =>
      isBlock(stage) && stage.parts && inParts?.has(stage.id) ? stage.parts : [stage],
    );
    const planned = stages.map((stage): PlannedStage => {
      const { id } = stage;
      if (!isBlock(stage) || observer === undefined || evaluation === undefined)
        return { id, stage, reused: false, wants: NOTHING, observed: false, reads: computeReads(this.unet, stage) };
      if (observer.standsIn?.(stage, evaluation))
        return { id, stage, reused: true, wants: NOTHING, observed: false, reads: mergeReads(stage) };
      const wants = observer.wants(stage, evaluation);
      return {
        id,
        stage,
        reused: false,
        wants,
        observed: wants.branch || wants.out,
        reads: computeReads(this.unet, stage),
      };
    });
    return planned.some(({ reused }) => reused) ? liveStages(planned, UNET_OUTPUT) : planned;
  }

  async #reuse(
    stage: Stage | Block,
    values: ReadonlyMap<string, DeviceTensor>,
    { observer, evaluation }: ForwardOptions,
  ): Promise<DeviceTensor> {
    if (!isBlock(stage) || observer?.standIn === undefined || evaluation === undefined)
      throw new TypeError(`${stage.id}: reused without a stand-in`);
    const input = hasMerge(stage) ? read(values, stage.inputs[0].value) : undefined;
    const out = await this.#merge(stage, values, await observer.standIn(stage, evaluation, input));
    observer.executed?.(stage, "reused", evaluation);
    return out;
  }

  async #run(
    stage: Stage | Block,
    wants: BlockWants,
    values: ReadonlyMap<string, DeviceTensor>,
    options: ForwardOptions,
  ): Promise<DeviceTensor> {
    const feeds = stage.inputs.map((input) => read(values, input.value));
    const { observer, evaluation } = options;
    if (!isBlock(stage) || observer === undefined || evaluation === undefined) return this.#compute(stage, feeds);

    observer.executed?.(stage, "computed", evaluation);
    if (!wants.branch && !wants.out) return this.#compute(stage, feeds);

    const merges = hasMerge(stage);
    const results = await this.#fetch(stage, feeds, merges ? [BRANCH, OUT] : [OUT]);
    const out = results[OUT];
    const branch = merges ? results[BRANCH] : out;
    let result: DeviceTensor | undefined;
    try {
      const replaced = await observer.computed(stage, { branch, out, input: feeds[0] }, evaluation);
      if (replaced?.out !== undefined) result = replaced.out;
      else if (replaced?.branch === undefined || (!merges && replaced.branch === out)) result = out;
      else result = await this.#merge(stage, values, replaced.branch);
      return result;
    } finally {
      if (merges && result !== branch) release(branch);
      if (result !== out) release(out);
    }
  }

  async #compute(stage: Stage | Block, feeds: readonly DeviceTensor[]): Promise<DeviceTensor> {
    return (await this.#fetch(stage, feeds, [OUT]))[OUT];
  }

  async #fetch(
    stage: Stage | Block,
    feeds: readonly DeviceTensor[],
    outputs: readonly string[],
  ): Promise<Record<string, DeviceTensor>> {
    const { session } = await this.#sessionsOf(stage).compute.get();
    const named: Record<string, DeviceTensor> = {};
    feeds.forEach((tensor, index) => (named[`input_${index}`] = tensor));
    if (!this.device.keepsTensors) return session.run(named, outputs) as Promise<Record<string, DeviceTensor>>;
    // With outputs kept on the device onnxruntime-node 1.30 binds all of them, and refuses to fetch a part.
    const results = (await session.run(named)) as Record<string, DeviceTensor>;
    for (const [name, tensor] of Object.entries(results)) if (!outputs.includes(name)) release(tensor);
    return results;
  }

  /** out from a given C; where the two are one, the value has one more owner from now on. */
  async #merge(block: Block, values: ReadonlyMap<string, DeviceTensor>, branch: DeviceTensor): Promise<DeviceTensor> {
    const { merge } = this.#sessionsOf(block);
    if (merge === undefined) return retain(branch);
    const { session } = await merge.get();
    const named: Record<string, DeviceTensor> = { [BRANCH]: branch };
    for (const index of block.mergeInputs) named[`input_${index}`] = read(values, block.inputs[index].value);
    return (await session.run(named))[OUT];
  }

  #sessionsOf(stage: Stage | Block): StageSessions {
    const known = this.#sessions.get(stage);
    if (known !== undefined) return known;
    const compute = new Lazy(() =>
      this.#compileGraph(this.#computeGraph(stage), !isBlock(stage) || keepsMemory(this.unet, stage)),
    );
    const sessions = hasMerge(stage) ? { compute, merge: new Lazy(() => this.#compileMerge(stage)) } : { compute };
    this.#sessions.set(stage, sessions);
    return sessions;
  }

  #computeGraph(stage: Stage | Block): GraphBuilder {
    const graph = new GraphBuilder(stage.id, this.device);
    const inputs = declareInputs(graph, stage);
    const branch = stage.branch(graph, inputs);
    const elementType = outputElementType(stage, this.device.precision);
    if (hasMerge(stage)) {
      graph.output(BRANCH, branch, stage.outputDims, elementType);
      graph.output(OUT, stage.merge(graph, inputs, branch), stage.outputDims, elementType);
    } else {
      graph.output(OUT, branch, stage.outputDims, elementType);
    }
    return graph;
  }

  async #compileMerge(block: MergingBlock): Promise<Compiled> {
    const graph = new GraphBuilder(`${block.id} merge`, this.device);
    const inputs = declareInputs(graph, block, block.mergeInputs);
    const branch = graph.input(BRANCH, block.outputDims);
    graph.output(OUT, block.merge(graph, inputs, branch), block.outputDims);
    const compiled = await this.#compileGraph(graph, keepsMemory(this.unet, block));
    this.#sharedWeightBytes += compiled.weightBytes;
    return { ...compiled, sharedBytes: compiled.weightBytes };
  }

  async #compileGraph(graph: GraphBuilder, keeps: boolean): Promise<Compiled> {
    const session = await createSession(await graph.encode(this.#weights), this.device, { keepsMemory: keeps });
    const weightBytes = graph.weightBytes();
    this.#weightBytes += weightBytes;
    return { session, weightBytes, sharedBytes: 0 };
  }
}

function read(values: ReadonlyMap<string, DeviceTensor>, name: string): DeviceTensor {
  const tensor = values.get(name);
  if (tensor === undefined) throw new TypeError(`the network reads ${name} before anything computes it`);
  return tensor;
}

/** Height and width of feature maps, as the int64 value that an upsampler reads. */
function extentOf(tensor: DeviceTensor): DeviceTensor {
  return new ort.Tensor("int64", BigInt64Array.from(tensor.dims.slice(2), BigInt), [2]);
}

/** value → index of the last stage that reads it; what no stage reads ends with the stage that gives it */
function lastReaders(planned: readonly PlannedStage[]): Map<string, number> {
  const last = new Map<string, number>();
  planned.forEach(({ stage, reads }, index) => {
    if (stage.id !== UNET_OUTPUT) last.set(stage.id, index);
    for (const value of reads) last.set(value, index);
  });
  return last;
}
