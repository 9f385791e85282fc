import { decoderHeadGraph } from "../graphs/autoencoder.js";
import type { AttentionNames } from "../graphs/autoencoder.js";
import { BAND_INPUTS, bandGraph, decoderSteps } from "../graphs/bandedDecoder.js";
import type { BandStep } from "../graphs/bandedDecoder.js";
import type { GraphTarget } from "../graphs/graphBuilder.js";
import type { AutoencoderConfig } from "../models/configs/autoencoder.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Weights } from "../models/weights.js";
import type { Device } from "./device.js";
import { GraphRunner } from "./graphRunner.js";
import type { Tensor } from "./tensor.js";
import { download, upload } from "./transfer.js";

/** Bytes of a band's input: enough to keep the cores busy, little compared with the image's own tensors. */
const BAND_BYTES = 8 * 2 ** 20;

interface RunnableStep {
  readonly step: BandStep;
  readonly runner: GraphRunner;
}

/**
 * Decodes one image band by band, in float32. At most, host memory holds three tensors of the whole image (a ResNet
 * block's input, middle and output) and the work on one band. Equal to decoding the whole image, up to rounding.
 */
export class BandedDecoder {
  readonly #device: Device;
  readonly #groups: number;
  readonly #head: GraphRunner;
  readonly #steps: readonly RunnableStep[];

  private constructor(device: Device, groups: number, head: GraphRunner, steps: readonly RunnableStep[]) {
    this.#device = device;
    this.#groups = groups;
    this.#head = head;
    this.#steps = steps;
  }

  /** Compiles every step; throws what {@link GraphRunner.loadAll} throws. */
  static async load(
    config: AutoencoderConfig,
    target: GraphTarget,
    attentionNames: AttentionNames,
    weights: Weights,
    device: Device,
  ): Promise<BandedDecoder> {
    const steps = decoderSteps(config);
    const graphs = [decoderHeadGraph(config, target, attentionNames), ...steps.map((step) => bandGraph(step, target))];
    const [head, ...runners] = await GraphRunner.loadAll(graphs, weights, device);
    return new BandedDecoder(
      device,
      config.norm_num_groups,
      head,
      steps.map((step, index) => ({ step, runner: runners[index] })),
    );
  }

  /**
   * @param latents [1, latent_channels, height, width], already divided by scaling_factor
   * @param bandBytes of a band's input
   * @returns [1, 3, …] in about −1…1
   */
  async decode(latents: FloatTensor, bandBytes = BAND_BYTES): Promise<FloatTensor> {
    const { backend } = this.#device;
    const first = await this.#head.run({ latents: upload(this.#device, latents) });
    let hidden = backend.upload({ type: "float32", ...first }, "host");
    let residual: Tensor | undefined;
    try {
      for (const { step, runner } of this.#steps) {
        if (step.opensResidual) residual = hidden.retain();
        const output = await this.#run(step, runner, hidden, residual, bandBytes);
        hidden.release();
        hidden = output;
        if (step.residual) {
          residual?.release();
          residual = undefined;
        }
      }
      return await download(this.#device, hidden);
    } finally {
      hidden.release();
      residual?.release();
    }
  }

  /** Releases all graphs. */
  dispose(): void {
    this.#head.dispose();
    for (const { runner } of this.#steps) runner.dispose();
  }

  /** A step's output over the whole image; the caller must release it. */
  async #run(
    step: BandStep,
    runner: GraphRunner,
    x: Tensor,
    residual: Tensor | undefined,
    bandBytes: number,
  ): Promise<Tensor> {
    const [, channels, height, width] = x.dims;
    const scale = step.norm === undefined ? 2 : 1;
    const output = this.#device.backend.allocate("float32", [1, step.outChannels, scale * height, scale * width]);
    const statistics = step.norm === undefined ? {} : groupStatistics(hostNumbers(x), this.#groups);
    const rows = Math.max(1, Math.floor(bandBytes / (4 * channels * width)));
    try {
      for (let start = 0; start < height; start += rows) {
        const end = Math.min(height, start + rows);
        const [above, below] = [Math.max(0, start - 1), Math.min(height, end + 1)];
        // The kernel reads one row beyond the band each way: zeros at the image's edge; where the step enlarges, that
        // row becomes two, and one is cut off.
        const [top, bottom] = [start === 0 ? 1 : 1 - scale, end === height ? 1 : 1 - scale];
        const band: Record<string, FloatTensor> = {
          ...statistics,
          [BAND_INPUTS.x]: rowsOf(hostNumbers(x), above, below),
        };
        if (step.residual && residual) band[BAND_INPUTS.residual] = rowsOf(hostNumbers(residual), start, end);
        const feeds = Object.fromEntries(
          Object.entries(band).map(([name, each]) => [name, upload(this.#device, each)]),
        );
        feeds[BAND_INPUTS.pads] = this.#pads(top, bottom);
        setRows(hostNumbers(output), scale * start, await runner.run(feeds));
      }
      return output;
    } catch (error) {
      output.release();
      throw error;
    }
  }

  #pads(top: number, bottom: number): Tensor {
    const data = BigInt64Array.from([0, 0, top, 0, 0, 0, bottom, 0], BigInt);
    return this.#device.backend.upload({ type: "int64", dims: [8], data }, "host");
  }
}

/** The numbers of a host tensor, without copying. */
function hostNumbers(tensor: Tensor): FloatTensor {
  return { dims: tensor.dims, data: tensor.view() as Float32Array };
}

function rowsOf({ dims: [, channels, height, width], data }: FloatTensor, start: number, end: number): FloatTensor {
  const length = (end - start) * width;
  const rows = new Float32Array(channels * length);
  for (let channel = 0; channel < channels; channel++) {
    const offset = (channel * height + start) * width;
    rows.set(data.subarray(offset, offset + length), channel * length);
  }
  return { dims: [1, channels, end - start, width], data: rows };
}

function setRows({ dims: [, channels, height, width], data }: FloatTensor, start: number, rows: FloatTensor): void {
  const length = rows.dims[2] * width;
  for (let channel = 0; channel < channels; channel++) {
    data.set(rows.data.subarray(channel * length, (channel + 1) * length), (channel * height + start) * width);
  }
}

/** Mean and biased variance of each channel's group over the whole image, as GroupNorm takes them. */
function groupStatistics({ dims: [, channels], data }: FloatTensor, groups: number): Record<string, FloatTensor> {
  const [mean, variance] = [new Float32Array(channels), new Float32Array(channels)];
  const [perGroup, length] = [channels / groups, data.length / groups];
  for (let group = 0; group < groups; group++) {
    let [sum, squares] = [0, 0];
    for (let index = group * length; index < (group + 1) * length; index++) {
      const value = data[index];
      sum += value;
      squares += value * value;
    }
    const average = sum / length;
    mean.fill(average, group * perGroup, (group + 1) * perGroup);
    variance.fill(squares / length - average * average, group * perGroup, (group + 1) * perGroup);
  }
  return {
    [BAND_INPUTS.mean]: { dims: [channels], data: mean },
    [BAND_INPUTS.variance]: { dims: [channels], data: variance },
  };
}
