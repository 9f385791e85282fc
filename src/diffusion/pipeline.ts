/** A diffusers folder ready to run: text in, hooked network, images out. */
import * as ort from "onnxruntime-node";
import { ArgumentError } from "../errors.js";
import { ATTENTION_NAMES, DEPRECATED_ATTENTION_NAMES, decoderGraph, encoderGraph } from "../graphs/autoencoder.js";
import type { AttentionNames } from "../graphs/autoencoder.js";
import { clipTextGraph } from "../graphs/clipText.js";
import { describeUNet } from "../graphs/unet.js";
import { fingerprint } from "../models/fingerprint.js";
import type { ModelFolder } from "../models/folder.js";
import { openModel } from "../models/openModel.js";
import type { OpenOptions } from "../models/openModel.js";
import type { ClipTokenizer } from "../models/tokenizer.js";
import type { FloatTensor } from "../models/tensor.js";
import type { Weights } from "../models/weights.js";
import { BlockNetwork } from "../runtime/blockNetwork.js";
import { openDevice } from "../runtime/device.js";
import type { Device, DeviceOptions } from "../runtime/device.js";
import { GraphRunner } from "../runtime/graphRunner.js";
import { fromHost } from "../runtime/transfer.js";

/** `signal` stops compiling too. */
export interface LoadOptions extends DeviceOptions, Omit<OpenOptions, "variant"> {
  /** called as the network's stages are compiled */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Text as the tokenizer and the text encoder see it. */
export interface EncodedPrompts {
  /** [prompts, tokens] */
  readonly inputIds: Int32Array;
  /** [prompts, tokens, width] */
  readonly promptEmbeds: FloatTensor;
}

/**
 * Opens a model, downloading it where the cache does not hold it, and compiles its denoising network; the
 * text encoder and the autoencoder follow when first used.
 *
 * @param model what `openModel` takes: a folder in the diffusers layout, a single file, `fluent-ldm`, or an id
 *   on the Hugging Face hub (`owner/name`, `owner/name@revision`). Precision float16 takes the fp16 variant of
 *   the weights where there is one
 * @throws InvalidFileError, UnsupportedError for what is wrong in the model's files; HubError where the hub
 *   does not give it; DeviceUnavailableError; InterruptedError
 */
export async function loadPipeline(model: string, options: LoadOptions = {}): Promise<Pipeline> {
  const device = await openDevice(options);
  const folder = await openModel(model, { ...options, variant: device.precision === "float16" ? "fp16" : undefined });
  const network = await BlockNetwork.load(describeUNet(folder.unet), await folder.openUNetWeights(), device, options);
  return new Pipeline(folder, device, network, await folder.loadTokenizer());
}

/** A latent diffusion model on a device. */
export class Pipeline {
  readonly folder: ModelFolder;
  readonly device: Device;
  readonly network: BlockNetwork;
  readonly tokenizer: ClipTokenizer;
  readonly #textEncoders = new Map<number, Promise<GraphRunner>>();
  #decoder: Promise<GraphRunner> | undefined;
  #encoder: Promise<GraphRunner> | undefined;
  #fingerprint: Promise<string> | undefined;

  constructor(folder: ModelFolder, device: Device, network: BlockNetwork, tokenizer: ClipTokenizer) {
    this.folder = folder;
    this.device = device;
    this.network = network;
    this.tokenizer = tokenizer;
  }

  /** The model's name: that of its folder, or its id. */
  get name(): string {
    return this.folder.name;
  }

  /** `sha256:…` of the network's config and weights; read from disk once. */
  fingerprint(): Promise<string> {
    return (this.#fingerprint ??= fingerprint(this.folder));
  }

  /** How many pixels one latent stands for, each way. */
  get vaeScaleFactor(): number {
    return 2 ** (this.folder.vae.block_out_channels.length - 1);
  }

  /** Latent height and width that the network was trained at. */
  get defaultLatentSize(): readonly [height: number, width: number] {
    const { sample_size } = this.folder.unet;
    if (sample_size === null) throw new ArgumentError(`${this.folder.path}/unet/config.json: sample_size is null — pass a height and a width`);
    return typeof sample_size === "number" ? [sample_size, sample_size] : [sample_size[0], sample_size[1]];
  }

  /**
   * Tokenizes and encodes prompts (padded and truncated to the model's length).
   *
   * @param clipSkip how many of the text encoder's last layers to leave out, as diffusers' clip_skip
   */
  async encodePrompts(prompts: readonly string[], clipSkip = 0): Promise<EncodedPrompts> {
    const { num_hidden_layers, max_position_embeddings: length } = this.folder.textEncoder;
    if (!Number.isInteger(clipSkip) || clipSkip < 0 || clipSkip >= num_hidden_layers) {
      throw new ArgumentError(`clip_skip: expected an integer from 0 to ${num_hidden_layers - 1}, found ${clipSkip}`);
    }
    const { inputIds } = this.tokenizer.encodePrompts(prompts);
    const runner = await this.#textEncoder(clipSkip);
    const promptEmbeds = await runner.run("input_ids", new ort.Tensor("int32", inputIds, [prompts.length, length]));
    return { inputIds, promptEmbeds };
  }

  /** latents [batch, channels, height, width] as sampled → pixels [batch, 3, …] in about −1…1 */
  async decode(latents: FloatTensor): Promise<FloatTensor> {
    this.#decoder ??= this.#loadAutoencoder(decoderGraph);
    const { scaling_factor, shift_factor } = this.folder.vae;
    const unscaled = latents.data.map((value) => value / scaling_factor + (shift_factor ?? 0));
    return (await this.#decoder).run("latents", fromHost({ dims: latents.dims, data: unscaled }));
  }

  /** pixels [batch, 3, height, width] in −1…1 → mean of the latents' distribution, unscaled */
  async encodeImage(pixels: FloatTensor): Promise<FloatTensor> {
    this.#encoder ??= this.#loadAutoencoder(encoderGraph);
    return (await this.#encoder).run("pixels", fromHost(pixels));
  }

  /** Releases all sessions. */
  async dispose(): Promise<void> {
    await this.network.dispose();
    for (const runner of [...this.#textEncoders.values(), this.#decoder, this.#encoder]) await (await runner)?.dispose();
  }

  #textEncoder(clipSkip: number): Promise<GraphRunner> {
    const known = this.#textEncoders.get(clipSkip);
    if (known) return known;
    const loading = this.#load(this.folder.openTextEncoderWeights(), (weights) => {
      // CLIPTextModel kept its layers under `text_model.` until transformers 5.
      const prefix = weights.names().some((name) => name.startsWith("text_model.")) ? "text_model." : "";
      return clipTextGraph(this.folder.textEncoder, this.device, clipSkip, prefix);
    });
    this.#textEncoders.set(clipSkip, loading);
    return loading;
  }

  #loadAutoencoder(graphOf: typeof decoderGraph): Promise<GraphRunner> {
    return this.#load(this.folder.openVaeWeights(), (weights) => {
      const deprecated = weights.names().some((name) => name.endsWith(".attentions.0.proj_attn.weight"));
      const names: AttentionNames = deprecated ? DEPRECATED_ATTENTION_NAMES : ATTENTION_NAMES;
      return graphOf(this.folder.vae, this.device, names);
    });
  }

  async #load(opening: Promise<Weights>, describe: (weights: Weights) => ReturnType<typeof decoderGraph>): Promise<GraphRunner> {
    const weights = await opening;
    try {
      return await GraphRunner.load(describe(weights), weights, this.device);
    } finally {
      await weights.close();
    }
  }
}
