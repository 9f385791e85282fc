/** A diffusers folder ready to run: text in, hooked network, images out. */
import { ArgumentError } from "../errors.js";
import { describeUNet } from "../graphs/unet.js";
import { fingerprint } from "../models/fingerprint.js";
import type { ModelFolder } from "../models/folder.js";
import { openModel } from "../models/openModel.js";
import type { OpenOptions } from "../models/openModel.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { BlockNetwork } from "../engine/network/blockNetwork.js";
import { openDevice } from "../engine/device.js";
import type { Device, DeviceOptions } from "../engine/device.js";
import { Lazy } from "../engine/lazy.js";
import { ImageAutoencoder } from "./imageAutoencoder.js";
import { TextEncoders } from "./textEncoders.js";
import type { EncodedPrompts } from "./textEncoders.js";

/** `signal` stops downloading and compiling. */
export interface LoadOptions extends DeviceOptions, Omit<OpenOptions, "variant"> {
  /** called as the network's stages are compiled */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Opens a model, downloading it where the cache does not hold it, and compiles its denoising network; the
 * text encoders and the autoencoder follow when first used.
 *
 * @param model what `openModel` takes: a folder in the diffusers layout, a single file, `fluent-ldm`, or an id
 *   on the Hugging Face hub (`owner/name`, `owner/name@revision`). Precision float16 takes the fp16 variant of
 *   the weights where there is one
 * @throws ArgumentError for text that names no model, an unknown device, or float16 on cpu; InvalidFileError,
 *   UnsupportedError for what is wrong in the model's files; HubError where the hub does not give it;
 *   DeviceUnavailableError; InterruptedError
 */
export async function loadPipeline(model: string, options: LoadOptions = {}): Promise<Pipeline> {
  const device = await openDevice(options);
  const folder = await openModel(model, { ...options, variant: device.precision === "float16" ? "fp16" : undefined });
  const text = await TextEncoders.open(folder, device);
  const network = await BlockNetwork.load(describeUNet(folder.unet), () => folder.openUNetWeights(), device, options);
  return new Pipeline(folder, device, network, text);
}

/** A latent diffusion model on a device. */
export class Pipeline {
  readonly folder: ModelFolder;
  readonly device: Device;
  readonly network: BlockNetwork;
  /** tokenizers and text encoders */
  readonly text: TextEncoders;
  readonly #autoencoder: ImageAutoencoder;
  readonly #fingerprint: Lazy<string>;

  constructor(folder: ModelFolder, device: Device, network: BlockNetwork, text: TextEncoders) {
    this.folder = folder;
    this.device = device;
    this.network = network;
    this.text = text;
    this.#autoencoder = new ImageAutoencoder(folder, device);
    this.#fingerprint = new Lazy(() => fingerprint(folder));
  }

  /** The model's name: that of its folder, or its id. */
  get name(): string {
    return this.folder.name;
  }

  /** `sha256:…` of the network's config and weights, all of which are read from disk, once. Throws what {@link fingerprint} throws. */
  fingerprint(): Promise<string> {
    return this.#fingerprint.get();
  }

  /** How many pixels one latent stands for, each way. */
  get vaeScaleFactor(): number {
    return 2 ** (this.folder.vae.block_out_channels.length - 1);
  }

  /** Latent height and width that the network was trained at. */
  get defaultLatentSize(): readonly [height: number, width: number] {
    const { sample_size } = this.folder.unet;
    if (sample_size === null)
      throw new ArgumentError(`${this.folder.path}/unet/config.json: sample_size is null — pass a height and a width`);
    return typeof sample_size === "number" ? [sample_size, sample_size] : [sample_size[0], sample_size[1]];
  }

  /** SDXL's network has the image's size and crop as inputs. */
  get takesSizeConditions(): boolean {
    return this.folder.unet.addition_embed_type === "text_time";
  }

  /** Bytes of weights that sampling and decoding will still load. */
  get waitingWeightBytes(): number {
    return this.text.waitingWeightBytes + this.#autoencoder.waitingWeightBytes;
  }

  /** About how many bytes decoding one image takes besides the weights. */
  decodeBytes(latentSize: readonly [height: number, width: number]): number {
    return this.#autoencoder.decodeBytes(latentSize);
  }

  /** Tokenizes and encodes prompts as diffusers' pipelines do ({@link TextEncoders.encode}). */
  encodePrompts(prompts: readonly string[], clipSkip = 0): Promise<EncodedPrompts> {
    return this.text.encode(prompts, { clipSkip, expandVectors: true });
  }

  /** latents [batch, channels, height, width] as sampled → pixels [batch, 3, …] in about −1…1 */
  decode(latents: FloatTensor): Promise<FloatTensor> {
    return this.#autoencoder.decode(latents);
  }

  /** pixels [batch, 3, height, width] in −1…1 → mean of the latents' distribution, unscaled */
  encodeImage(pixels: FloatTensor): Promise<FloatTensor> {
    return this.#autoencoder.encode(pixels);
  }

  /** Releases everything that is compiled; samplings that are under way end with a ReleasedError. */
  async dispose(): Promise<void> {
    await this.network.dispose();
    await this.text.dispose();
    await this.#autoencoder.dispose();
  }
}
