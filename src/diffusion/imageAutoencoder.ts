/** A model's autoencoder: latents as sampled ↔ pixels. */
import { ATTENTION_NAMES, DEPRECATED_ATTENTION_NAMES, decoderGraph, encoderGraph } from "../graphs/autoencoder.js";
import type { AttentionNames } from "../graphs/autoencoder.js";
import type { GraphTarget } from "../graphs/graphBuilder.js";
import type { ModelFolder } from "../models/folder.js";
import type { FloatTensor } from "../models/tensor.js";
import type { Device } from "../runtime/device.js";
import { GraphRunner } from "../runtime/graphRunner.js";
import { fromHost } from "../runtime/transfer.js";

/** The two halves are compiled when first used. */
export class ImageAutoencoder {
  readonly #folder: ModelFolder;
  readonly #device: Device;
  #decoder: Promise<GraphRunner> | undefined;
  #encoder: Promise<GraphRunner> | undefined;

  constructor(folder: ModelFolder, device: Device) {
    this.#folder = folder;
    this.#device = device;
  }

  /** latents [batch, channels, height, width] as sampled → pixels [batch, 3, …] in about −1…1 */
  async decode(latents: FloatTensor): Promise<FloatTensor> {
    this.#decoder ??= this.#load(decoderGraph);
    const { scaling_factor, shift_factor } = this.#folder.vae;
    const unscaled = latents.data.map((value) => value / scaling_factor + (shift_factor ?? 0));
    return (await this.#decoder).run("latents", fromHost({ dims: latents.dims, data: unscaled }));
  }

  /** pixels [batch, 3, height, width] in −1…1 → mean of the latents' distribution, unscaled */
  async encode(pixels: FloatTensor): Promise<FloatTensor> {
    this.#encoder ??= this.#load(encoderGraph);
    return (await this.#encoder).run("pixels", fromHost(pixels));
  }

  /** Releases all sessions. */
  async dispose(): Promise<void> {
    for (const runner of [this.#decoder, this.#encoder]) await (await runner)?.dispose();
  }

  async #load(graphOf: typeof decoderGraph): Promise<GraphRunner> {
    const weights = await this.#folder.openVaeWeights();
    try {
      const deprecated = weights.names().some((name) => name.endsWith(".attentions.0.proj_attn.weight"));
      const names: AttentionNames = deprecated ? DEPRECATED_ATTENTION_NAMES : ATTENTION_NAMES;
      return await GraphRunner.load(graphOf(this.#folder.vae, this.#target(), names), weights, this.#device);
    } finally {
      await weights.close();
    }
  }

  /** SDXL's autoencoder overflows in half precision; its pipeline computes it in float32 where force_upcast says so. */
  #target(): GraphTarget {
    const { pipelineClass, vae } = this.#folder;
    return pipelineClass === "StableDiffusionXLPipeline" && vae.force_upcast ? { ...this.#device, precision: "float32" } : this.#device;
  }
}
