/**
 * CLIP's byte-pair model and the splitting before it: from normalised text to ids and back (transformers 5,
 * tokenization_clip.py).
 */
import { Tokenizer } from "@huggingface/tokenizers";
import { InvalidFileError } from "../../errors.js";
import { WHITE_SPACE } from "./addedTokens.js";

/** A vocabulary as its files hold it. */
export interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  readonly merges: readonly (readonly [string, string])[];
  /** the file that it is from, for messages */
  readonly file: string;
}

const SPACES = new RegExp(`[${WHITE_SPACE}]+`, "gu");

/**
 * NFC, runs of white space to one space, lower case letter by letter (no final sigma).
 * JavaScript's own \s and toLowerCase differ from the reference in exactly these.
 */
export function normalise(text: string): string {
  return Array.from(text.normalize("NFC").replace(SPACES, " "), (letter) => letter.toLowerCase()).join("");
}

export class BytePairs {
  readonly #tokenizer: Tokenizer;
  readonly #vocabulary: Vocabulary;
  readonly #unknown: string;

  /** @param unknown the token for bytes that have none of their own */
  constructor(vocabulary: Vocabulary, unknown: string) {
    this.#tokenizer = new Tokenizer(tokenizerJson(vocabulary, unknown), { clean_up_tokenization_spaces: false });
    this.#vocabulary = vocabulary;
    this.#unknown = unknown;
  }

  /**
   * Ids of normalised text.
   *
   * @throws InvalidFileError where the text needs the unknown token and the vocabulary has none
   */
  encode(text: string): number[] {
    const { ids } = this.#tokenizer.encode(text, { add_special_tokens: false });
    if (!ids.every(Number.isInteger))
      throw new InvalidFileError({
        file: this.#vocabulary.file,
        field: this.#unknown,
        found: `no such token, and ${JSON.stringify(text)} has bytes that no token stands for`,
        expected: "the unk_token that tokenizer_config.json names",
      });
    return ids;
  }

  /** The text of ids, with words separated by spaces. */
  decode(ids: readonly number[]): string {
    return ids.length === 0 ? "" : this.#tokenizer.decode([...ids]);
  }
}

/** The reference's pipeline after normalisation, as the library reads it. */
function tokenizerJson({ ids, merges }: Vocabulary, unknown: string): object {
  const words = `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^${WHITE_SPACE}\\p{L}\\p{N}]+`;
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: words }, behavior: "Removed", invert: true },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unknown,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges,
    },
  };
}
