/**
 * Runs a UNet block by block: one graph per block, with tensors kept on the device between them and each released when
 * its last reader is done.
 */
import { ArgumentError, ReleasedError } from "../../errors.js";
import { throwIfAborted } from "../../interruption.js";
import { activationBytes } from "../../graphs/activationBytes.js";
import { BRANCH, OUT, hasMerge, isBlock } from "../../graphs/block.js";
import type { Block, Stage } from "../../graphs/block.js";
import { UNET_OUTPUT, upsampleSizeName } from "../../graphs/unet.js";
import type { UNet } from "../../graphs/unet.js";
import type { Weights } from "../../models/weights.js";
import { elementCount } from "../../numerics/tensor.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { RunOptions } from "../backend.js";
import type { Device } from "../device.js";
import { releaseAll } from "../tensor.js";
import type { Tensor } from "../tensor.js";
import { download, precisionOf, upload } from "../transfer.js";
import { lastReads, planEvaluation } from "./evaluationPlan.js";
import type { Looker, PlannedStage } from "./evaluationPlan.js";
import type { BlockObserver, BlockResult, Evaluation } from "./observer.js";
import { StageGraphs } from "./stageGraphs.js";
import { STAND_IN, broadcastDims, formOf, isPlain } from "./standIn.js";
import type { StandIn, StandInForm } from "./standIn.js";
import { feedUNet } from "./unetInputs.js";
import type { UNetInputs } from "./unetInputs.js";

export interface CompileOptions {
  readonly onProgress?: (done: number, total: number) => void;
  /** checked between stages */
  readonly signal?: AbortSignal;
}

export interface ForwardOptions {
  /** called in this order: each sees what the one before it left. They need `evaluation` */
  readonly observers?: readonly BlockObserver[];
  /** which evaluation this is, for the observers */
  readonly evaluation?: Evaluation;
  /** spatial transformers that run in parts, so that what is inside can be observed */
  readonly inParts?: ReadonlySet<string>;
  /** checked between blocks */
  readonly signal?: AbortSignal;
  /** receives each stage's seconds; the device then finishes each stage before the next begins */
  readonly onStageTime?: (id: string, seconds: number) => void;
}

const NO_PARTS: ReadonlySet<string> = new Set();

/** A UNet ready to run on one device. */
export class BlockNetwork {
  readonly unet: UNet;
  readonly device: Device;
  readonly #graphs: StageGraphs;
  /** dims of the largest latents that an evaluation was given */
  #largestSample: readonly number[] = [0, 0, 0, 0];
  /** evaluations that are under way */
  #evaluating = 0;
  #disposed = false;

  private constructor(unet: UNet, openWeights: () => Promise<Weights>, device: Device) {
    this.unet = unet;
    this.device = device;
    this.#graphs = new StageGraphs(unet, device, openWeights);
  }

  /**
   * Compiles every stage; one stage's weights are in JavaScript's memory at a time. Where that fails, what was
   * compiled is released. The largest come first, so that the others reuse the memory that compiling them took and gave
   * back (otherwise 1.2 GiB of holes, for Stable Diffusion 1.5).
   *
   * @param openWeights opens the network's weights: now, and again whenever a block is first reused or looked at
   * @throws InvalidFileError for weights that are missing, of another shape or not finite; InterruptedError on abort
   */
  static async load(
    unet: UNet,
    openWeights: () => Promise<Weights>,
    device: Device,
    options: CompileOptions = {},
  ): Promise<BlockNetwork> {
    const network = new BlockNetwork(unet, openWeights, device);
    const graphs = network.#graphs;
    const sized = unet.stages.map((stage) => ({ stage, bytes: graphs.computeGraph(stage, false).weightBytes() }));
    try {
      await graphs.withWeights(async () => {
        for (const [index, { stage }] of sized.sort((a, b) => b.bytes - a.bytes).entries()) {
          throwIfAborted(options.signal, "loading");
          await graphs.compute(stage, false);
          options.onProgress?.(index + 1, unet.stages.length);
        }
      });
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

  /** Bytes of weights that compiled graphs hold now, including those held twice. */
  get weightBytes(): number {
    return this.#graphs.weightBytes;
  }

  /** The part of these bytes that is a second copy, for blocks that are looked at or reused. */
  get sharedWeightBytes(): number {
    return this.#graphs.sharedWeightBytes;
  }

  /** About how many bytes the device keeps after the evaluations so far, on cpu: the most that any of them took. */
  get keptBytes(): number {
    const [rows, , height, width] = this.#largestSample;
    return rows * activationBytes(this.unet, { height, width });
  }

  /**
   * One network evaluation.
   *
   * @returns the model output [batch, out_channels, height, width] float32, in JavaScript's memory
   * @throws ArgumentError where the inputs do not fit the network; InterruptedError on abort; DeviceError where the
   *   device fails; ReleasedError after `dispose`, also where that is called meanwhile; whatever an observer throws
   */
  async forward(inputs: UNetInputs, options: ForwardOptions = {}): Promise<FloatTensor> {
    const { observers = [], evaluation, inParts = NO_PARTS, onStageTime } = options;
    this.#requireHeld();
    const planned = planEvaluation(this.unet, inParts, observers, evaluation);
    const ending = lastReads(planned);
    this.#requireExtent(inputs.sample.dims);
    const values = feedUNet(this.unet.config, inputs, this.device);
    const tell = (name: string): void => {
      if (evaluation === undefined) return;
      for (const observer of observers) observer.value?.(name, read(values, name), evaluation);
    };
    this.#evaluating++;
    try {
      await this.#releaseOtherForms(inParts);
      for (const name of values.keys()) tell(name);
      for (const [index, each] of planned.entries()) {
        throwIfAborted(options.signal, "sampling");
        this.#requireHeld();
        const started = performance.now();
        values.set(each.id, await this.#runStage(each, values, options));
        tell(each.id);
        if (values.has(upsampleSizeName(each.id))) tell(upsampleSizeName(each.id));
        for (const name of ending[index]) {
          read(values, name).release();
          values.delete(name);
        }
        onStageTime?.(each.id, (performance.now() - started) / 1000);
      }
      const { dims } = inputs.sample;
      if (elementCount(dims) > elementCount(this.#largestSample)) this.#largestSample = dims;
      const output = await download(this.device, read(values, UNET_OUTPUT));
      if (evaluation !== undefined) for (const observer of observers) await observer.evaluated?.(evaluation);
      return output;
    } finally {
      this.#evaluating--;
      releaseAll(values.values());
    }
  }

  /** What takes the place of a block's C, computed on its own. The caller must release it. */
  standInValue(block: Block, standIn: StandIn): Promise<Tensor> {
    return this.#sum(block, formOf(standIn, false), standIn, {}, { waits: true });
  }

  /** Releases every graph. An evaluation that is under way ends with an error at its next block. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#graphs.releaseAll();
  }

  #requireHeld(): void {
    if (this.#disposed)
      throw new ReleasedError(
        "network: expected one that is held, found one that was disposed of — load the pipeline again",
      );
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

  /**
   * A spatial transformer is held whole or in parts, so that its weights are held once: the form that this evaluation
   * does not run is released. Evaluations that overlap may need both, and release neither.
   */
  async #releaseOtherForms(inParts: ReadonlySet<string>): Promise<void> {
    if (this.#evaluating > 1) return;
    for (const stage of this.unet.stages) {
      if (!isBlock(stage) || stage.parts === undefined) continue;
      for (const unused of inParts.has(stage.id) ? [stage] : stage.parts) await this.#graphs.release(unused);
    }
  }

  /** A stage's output; the caller must release it. */
  async #runStage(
    { stage, standIn, lookers }: PlannedStage,
    values: Map<string, Tensor>,
    options: ForwardOptions,
  ): Promise<Tensor> {
    const { observers = [], evaluation, onStageTime } = options;
    const run: RunOptions = { waits: onStageTime !== undefined };
    if (!isBlock(stage) || evaluation === undefined) return this.#compute(stage, values, run);
    if (standIn !== undefined) {
      const input = hasMerge(stage) ? read(values, stage.inputs[0].value) : undefined;
      const made = typeof standIn === "function" ? await standIn(input) : standIn;
      const out = await this.#reuse(stage, made, values, run);
      for (const observer of observers) observer.executed?.(stage, "reused", evaluation);
      return out;
    }
    for (const observer of observers) observer.executed?.(stage, "computed", evaluation);
    return lookers.length === 0
      ? this.#compute(stage, values, run)
      : this.#show(stage, lookers, values, evaluation, run);
  }

  async #compute(stage: Stage | Block, values: Map<string, Tensor>, run: RunOptions): Promise<Tensor> {
    const graph = await this.#graphs.compute(stage, false);
    const [out] = await graph.run(this.#feeds(stage, values), [OUT], run);
    return out;
  }

  /** Computes a block and shows it to those who look; each sees what the one before it left. */
  async #show(
    block: Block,
    lookers: readonly Looker[],
    values: Map<string, Tensor>,
    evaluation: Evaluation,
    run: RunOptions,
  ): Promise<Tensor> {
    const merges = hasMerge(block);
    const looksAtBranch = merges && lookers.some(({ results }) => results.includes("branch"));
    const graph = await this.#graphs.compute(block, looksAtBranch);
    const results = await graph.run(this.#feeds(block, values), looksAtBranch ? [BRANCH, OUT] : [OUT], run);
    const owned = new Set(results);
    let out = results[results.length - 1];
    /** C as the next one sees it, and whether it has changed since `out` was made from it */
    let branch: Tensor | undefined = merges ? (looksAtBranch ? results[0] : undefined) : out;
    let isOutdated = false;
    try {
      for (const { observer, results: wanted } of lookers) {
        const shown: BlockResult = {
          ...(wanted.includes("branch") && branch !== undefined ? { branch } : {}),
          ...(wanted.includes("out") ? { out } : {}),
          ...(wanted.includes("input") ? { input: read(values, block.inputs[0].value) } : {}),
        };
        const given = await observer.look?.(block, shown, evaluation);
        for (const tensor of [given?.branch, given?.out]) if (tensor !== undefined) owned.add(tensor);
        if (given?.branch !== undefined) {
          // It replaces an earlier output, since the residual will be added to it again.
          branch = given.branch;
          if (merges) {
            out = results[results.length - 1];
            isOutdated = true;
          } else out = branch;
        }
        if (given?.out !== undefined) {
          out = given.out;
          isOutdated = false;
          if (!merges) branch = out;
        }
      }
      if (!isOutdated || branch === undefined) return out.retain();
      return await this.#reuse(block, { terms: [{ tensor: branch, weight: 1 }] }, values, run);
    } finally {
      releaseAll(owned);
    }
  }

  /** A block's output from what stands in for C. */
  #reuse(block: Block, standIn: StandIn, values: Map<string, Tensor>, run: RunOptions): Promise<Tensor> {
    const feeds: Record<string, Tensor> = {};
    const merges = hasMerge(block);
    for (const index of merges ? block.mergeInputs : [])
      feeds[`input_${index}`] = read(values, block.inputs[index].value);
    return this.#sum(block, formOf(standIn, merges), standIn, feeds, run);
  }

  /** Where a stand-in's graph would have nothing to do, the kept value itself is returned, with one more owner. */
  async #sum(
    block: Block,
    form: StandInForm,
    { terms, shift }: StandIn,
    merged: Readonly<Record<string, Tensor>>,
    run: RunOptions,
  ): Promise<Tensor> {
    if (isPlain(form)) return terms[0].tensor.retain();
    const graph = await this.#graphs.standIn(block, form);
    const precision = precisionOf(terms[0].tensor);
    const passing: Tensor[] = [];
    const perChannel = (numbers: Float32Array): Tensor => {
      const tensor = upload(this.device, { dims: broadcastDims(block, numbers.length), data: numbers }, precision);
      passing.push(tensor);
      return tensor;
    };
    const feeds: Record<string, Tensor> = { ...merged };
    try {
      terms.forEach(({ tensor, weight }, index) => {
        feeds[STAND_IN.term(index)] = tensor;
        if (form.weighted)
          feeds[STAND_IN.weight(index)] = perChannel(typeof weight === "number" ? Float32Array.of(weight) : weight);
      });
      if (shift !== undefined) feeds[STAND_IN.shift] = perChannel(shift);
      const [out] = await graph.run(feeds, [OUT], run);
      return out;
    } finally {
      releaseAll(passing);
    }
  }

  /** What a stage's graph is fed; an upsampler also reads the height and width of another value. */
  #feeds(stage: Stage | Block, values: Map<string, Tensor>): Record<string, Tensor> {
    const target = this.unet.upsampleTargets.get(stage.id);
    if (target !== undefined) {
      const size = BigInt64Array.from(read(values, target).dims.slice(2), BigInt);
      values.set(
        upsampleSizeName(stage.id),
        this.device.backend.upload({ type: "int64", dims: [2], data: size }, "host"),
      );
    }
    const feeds: Record<string, Tensor> = {};
    stage.inputs.forEach((input, index) => (feeds[`input_${index}`] = read(values, input.value)));
    return feeds;
  }
}

function read(values: ReadonlyMap<string, Tensor>, name: string): Tensor {
  const tensor = values.get(name);
  if (tensor === undefined) throw new TypeError(`the network reads ${name} before anything computes it`);
  return tensor;
}
