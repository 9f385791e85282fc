/** A model's autoencoder: latents as sampled ↔ pixels. */
import { ATTENTION_NAMES, DEPRECATED_ATTENTION_NAMES, decoderGraph, encoderGraph } from "../graphs/autoencoder.js";
import type { AttentionNames } from "../graphs/autoencoder.js";
import type { GraphTarget } from "../graphs/graphBuilder.js";
import type { ModelFolder } from "../models/folder.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Weights } from "../models/weights.js";
import { BandedDecoder } from "../engine/bandedDecoder.js";
import type { Device } from "../engine/device.js";
import { GraphRunner } from "../engine/graphRunner.js";
import { Lazy } from "../engine/lazy.js";
import { upload } from "../engine/transfer.js";
import { stack } from "../numerics/tensorRows.js";

/**
 * An image whose widest feature maps take more than this is decoded in bands. They are 256 MiB at 512×512 pixels for
 * Stable Diffusion's decoder.
 */
const LARGEST_WHOLE_BYTES = 128 * 2 ** 20;

/**
 * How many of those maps decoding holds at once: measured by bench/memory for the whole image; counted from the steps,
 * and rounded up, for bands.
 */
const WIDEST_AT_ONCE = { whole: 7, inBands: 4 } as const;

/** The two halves are compiled when first used. */
export class ImageAutoencoder {
  readonly #folder: ModelFolder;
  readonly #device: Device;
  readonly #decoder: Lazy<GraphRunner>;
  readonly #bandedDecoder: Lazy<BandedDecoder>;
  readonly #encoder: Lazy<GraphRunner>;

  constructor(folder: ModelFolder, device: Device) {
    this.#folder = folder;
    this.#device = device;
    this.#decoder = new Lazy(() =>
      this.#load((weights, names) =>
        GraphRunner.load(decoderGraph(folder.vae, this.#target(), names), weights, device),
      ),
    );
    this.#bandedDecoder = new Lazy(() =>
      this.#load((weights, names) => BandedDecoder.load(folder.vae, this.#target(), names, weights, device)),
    );
    this.#encoder = new Lazy(() =>
      this.#load((weights, names) =>
        GraphRunner.load(encoderGraph(folder.vae, this.#target(), names), weights, device),
      ),
    );
  }

  /**
   * latents [batch, channels, height, width] as sampled → pixels [batch, 3, …] in about −1…1. A large image is
   * decoded in bands, to the same pixels.
   */
  async decode(latents: FloatTensor): Promise<FloatTensor> {
    const { scaling_factor } = this.#folder.vae;
    const unscaled = { dims: latents.dims, data: latents.data.map((value) => value / scaling_factor) };
    if (this.#widestBytes(latents.dims[2], latents.dims[3]) > LARGEST_WHOLE_BYTES) return this.#decodeInBands(unscaled);
    return (await this.#decoder.get()).run({ latents: upload(this.#device, unscaled) });
  }

  /** pixels [batch, 3, height, width] in −1…1 → mean of the latents' distribution, unscaled */
  async encode(pixels: FloatTensor): Promise<FloatTensor> {
    return (await this.#encoder.get()).run({ pixels: upload(this.#device, pixels) });
  }

  /** Bytes of weights that the first decoding will load. */
  get waitingWeightBytes(): number {
    if (this.#decoder.isAskedFor || this.#bandedDecoder.isAskedFor) return 0;
    return decoderGraph(this.#folder.vae, this.#target(), ATTENTION_NAMES).weightBytes();
  }

  /** About how many bytes decoding one image takes besides the weights. */
  decodeBytes([height, width]: readonly [height: number, width: number]): number {
    const widest = this.#widestBytes(height, width);
    return widest * (widest > LARGEST_WHOLE_BYTES ? WIDEST_AT_ONCE.inBands : WIDEST_AT_ONCE.whole);
  }

  /** Releases all graphs. */
  async dispose(): Promise<void> {
    for (const runner of [this.#decoder, this.#bandedDecoder, this.#encoder]) (await runner.take())?.dispose();
  }

  /** Bytes of one image's feature maps where they are widest: those that the last upsampler gives. */
  #widestBytes(height: number, width: number): number {
    const { block_out_channels } = this.#folder.vae;
    const pixels = height * width * 4 ** (block_out_channels.length - 1);
    return 4 * pixels * Math.max(...block_out_channels.slice(0, 2));
  }

  async #decodeInBands({ dims: [batch, ...rest], data }: FloatTensor): Promise<FloatTensor> {
    const decoder = await this.#bandedDecoder.get();
    const length = data.length / batch;
    const images: FloatTensor[] = [];
    for (let image = 0; image < batch; image++)
      images.push(
        await decoder.decode({ dims: [1, ...rest], data: data.subarray(image * length, (image + 1) * length) }),
      );
    return images.reduce(stack);
  }

  async #load<T>(compile: (weights: Weights, names: AttentionNames) => Promise<T>): Promise<T> {
    const weights = await this.#folder.openVaeWeights();
    try {
      const deprecated = weights.names().some((name) => name.endsWith(".attentions.0.proj_attn.weight"));
      return await compile(weights, deprecated ? DEPRECATED_ATTENTION_NAMES : ATTENTION_NAMES);
    } finally {
      await weights.close();
    }
  }

  /**
   * SDXL's autoencoder overflows in half precision: where force_upcast says so, it is computed in float32, as in
   * diffusers' pipeline.
   */
  #target(): GraphTarget {
    const { pipelineClass, vae } = this.#folder;
    return pipelineClass === "StableDiffusionXLPipeline" && vae.force_upcast
      ? { ...this.#device, precision: "float32" }
      : this.#device;
  }
}
