/** A model's text encoders: one, or SDXL's two, whose embeddings are joined token by token. */
import { join } from "node:path";
import { ArgumentError, InvalidFileError } from "../errors.js";
import { clipParameterCount } from "../graphs/clipText.js";
import { ELEMENT_BYTES } from "../graphs/onnx.js";
import type { ModelFolder } from "../models/folder.js";
import type { TextEncoderFolder } from "../models/textEncoderFolder.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { ClipTokenizer } from "../models/tokenizer/clipTokenizer.js";
import { ClipTextEncoder } from "../engine/clipTextEncoder.js";
import type { EncodedText } from "../engine/clipTextEncoder.js";
import type { Device } from "../engine/device.js";
import { Lazy } from "../engine/lazy.js";
import { joinLast } from "../numerics/tensorRows.js";

/** Text as the tokenizers and the text encoders see it. */
export interface EncodedPrompts {
  /** [prompts, tokens], one for each tokenizer */
  readonly inputIds: readonly Int32Array[];
  /** [prompts, tokens, width] */
  readonly promptEmbeds: FloatTensor;
  /** [prompts, projection_dim]; only SDXL's */
  readonly pooledPromptEmbeds?: FloatTensor;
}

export interface EncodePromptsOptions {
  /**
   * how many of the text encoders' last layers to leave out, as diffusers' clip_skip; the pooled embedding always comes
   * from the last layer. Default: 0
   */
  readonly clipSkip?: number;
  /** a textual inversion token stands for all of its vectors, as in diffusers' pipelines. Default: false */
  readonly expandVectors?: boolean;
}

/** Tokenizers, and text encoders that are compiled when first used. */
export class TextEncoders {
  readonly tokenizers: readonly ClipTokenizer[];
  readonly #folders: readonly TextEncoderFolder[];
  readonly #path: string;
  /** SDXL reads the hidden states before the last layer, and without its norm */
  readonly #penultimate: boolean;
  readonly #device: Device;
  readonly #encoders: readonly Lazy<ClipTextEncoder>[];
  /** warnings already given of prompts that are cut: each is given once */
  readonly #said = new Set<string>();

  private constructor(folder: ModelFolder, tokenizers: readonly ClipTokenizer[], device: Device) {
    this.#folders = folder.textEncoders;
    this.#path = folder.path;
    this.#penultimate = folder.pipelineClass === "StableDiffusionXLPipeline";
    this.tokenizers = tokenizers;
    this.#device = device;
    this.#encoders = folder.textEncoders.map(
      (encoder, index) => new Lazy(() => load(encoder, tokenizers[index], device)),
    );
  }

  /** Loads the tokenizers. Throws InvalidFileError where they are damaged, or make prompts of different lengths. */
  static async open(folder: ModelFolder, device: Device): Promise<TextEncoders> {
    const tokenizers = await Promise.all(folder.textEncoders.map((encoder) => encoder.loadTokenizer()));
    const [first, other] = tokenizers.map(({ length }) => length);
    if (other !== undefined && other !== first) {
      throw new InvalidFileError({
        file: folder.path,
        field: "tokenizer_2",
        found: `prompts of ${other} tokens`,
        expected: `${first} tokens, as tokenizer makes them: the two embeddings are joined token by token`,
      });
    }
    return new TextEncoders(folder, tokenizers, device);
  }

  /**
   * Tokenizes and encodes prompts (padded and truncated to the model's length). Where a prompt is cut, a warning on the
   * console says what is left out, once.
   *
   * @throws ArgumentError where there are not that many layers; InvalidFileError for a token without an embedding;
   *   InvalidFileError, UnsupportedError for the weights
   */
  async encode(
    prompts: readonly string[],
    { clipSkip = 0, expandVectors = false }: EncodePromptsOptions = {},
  ): Promise<EncodedPrompts> {
    const layers = Math.min(...this.#folders.map(({ config }) => config.num_hidden_layers));
    if (!Number.isInteger(clipSkip) || clipSkip < 0 || clipSkip >= layers)
      throw new ArgumentError(`clip_skip: expected an integer from 0 to ${layers - 1}, found ${clipSkip}`);
    const inputIds = this.tokenizers.map((tokenizer, index) =>
      this.#tokenize(expandVectors ? prompts.map(tokenizer.expandVectors) : prompts, index),
    );
    const options = this.#penultimate
      ? { skippedLayers: clipSkip + 1, normed: false }
      : { skippedLayers: clipSkip, normed: true };
    const encoded: EncodedText[] = [];
    for (const [index, encoder] of this.#encoders.entries())
      encoded.push(await (await encoder.get()).encode(inputIds[index], options));
    const promptEmbeds = encoded.map(({ hiddenStates }) => hiddenStates).reduce(joinLast);
    return { inputIds, promptEmbeds, pooledPromptEmbeds: encoded.find(({ pooled }) => pooled !== undefined)?.pooled };
  }

  #tokenize(prompts: readonly string[], index: number): Int32Array {
    const { name, config } = this.#folders[index];
    const { length, encodePrompts } = this.tokenizers[index];
    const { inputIds, cut } = encodePrompts(prompts);
    cut.forEach((text, prompt) => {
      const message = `prompt: ${JSON.stringify(shortened(prompts[prompt]))} is longer than the ${length} tokens of a prompt, start and end included, and is cut; what is left out: ${JSON.stringify(text)}`;
      if (text === "" || this.#said.has(message)) return;
      this.#said.add(message);
      console.warn(message);
    });
    const beyond = inputIds.find((id) => id >= config.vocab_size);
    if (beyond !== undefined)
      throw new InvalidFileError({
        file: join(this.#path, name, "config.json"),
        field: "vocab_size",
        found: String(config.vocab_size),
        expected: `more than ${beyond}, the id of a token of the prompt`,
        hint: "the tokenizer has tokens that the text encoder has no embedding for; save both together after adding tokens",
      });
    return inputIds;
  }

  /** Bytes of weights that the first use will load. */
  get waitingWeightBytes(): number {
    const waiting = this.#folders.map(({ config }, index) =>
      this.#encoders[index].isAskedFor
        ? 0
        : clipParameterCount({ config, tokens: this.tokenizers[index].length, prefix: "" }),
    );
    return ELEMENT_BYTES[this.#device.precision] * waiting.reduce((sum, count) => sum + count, 0);
  }

  /** Releases all graphs. */
  async dispose(): Promise<void> {
    for (const encoder of this.#encoders) (await encoder.take())?.dispose();
  }
}

/** The beginning of a long text. */
function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

async function load(
  { openWeights, config, projects }: TextEncoderFolder,
  { length }: ClipTokenizer,
  device: Device,
): Promise<ClipTextEncoder> {
  const weights = await openWeights();
  try {
    return await ClipTextEncoder.load(config, length, projects, weights, device);
  } finally {
    await weights.close();
  }
}
