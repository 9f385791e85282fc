/** CLIP's byte-pair tokenizer, equal to transformers 5's CLIPTokenizer. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { InvalidFileError } from "../errors.js";
import { readJson, validate } from "../files/json.js";

/** Turns prompts into token ids of one length. */
export interface ClipTokenizer {
  /** tokens of a padded prompt, start and end included */
  readonly length: number;
  /**
   * Padded and truncated as transformers does with `padding="max_length", truncation=True`.
   *
   * @returns ids [prompts, length]
   */
  encodePrompts(prompts: readonly string[]): { readonly inputIds: Int32Array };
}

const token = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);
const settingsSchema = z.looseObject({
  bos_token: token.default("<|startoftext|>"),
  eos_token: token.default("<|endoftext|>"),
  unk_token: token.nullish(),
  pad_token: token.nullish(),
  /** transformers writes 1e30 for no limit */
  model_max_length: z.number().min(2).nullish(),
});
const vocabularySchema = z.record(z.string(), z.number().int().nonnegative());
const tokenizerSchema = z.looseObject({
  model: z.looseObject({
    vocab: vocabularySchema,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});

/**
 * Loads vocab.json with merges.txt, or tokenizer.json.
 *
 * @param positions that the text encoder has; prompts are as long, or as tokenizer_config.json's model_max_length if that is less
 * @throws InvalidFileError where files are missing or do not fit each other
 */
export async function loadClipTokenizer(folder: string, positions: number): Promise<ClipTokenizer> {
  const { vocabulary, merges, file } = await loadVocabulary(folder);
  const { special, maxLength } = await loadSettings(folder);
  const length = Math.min(positions, maxLength);
  const idOf = (text: string): number => {
    if (!Object.hasOwn(vocabulary, text))
      throw new InvalidFileError({
        file,
        field: text,
        found: "no such token",
        expected: "the special token that tokenizer_config.json names",
      });
    return vocabulary[text];
  };
  const [start, end, pad] = [idOf(special.start), idOf(special.end), idOf(special.pad)];
  const tokenizer = new Tokenizer(tokenizerJson(vocabulary, merges, special), {});
  // The padding token too: Stable Diffusion 2 and SDXL pad with "!", so each "!" of a prompt is padding (diffusers issue 4153).
  const specialIds = new Map([
    [special.start, start],
    [special.end, end],
    [special.pad, pad],
  ]);
  const longestFirst = [...specialIds.keys()].sort((a, b) => b.length - a.length);
  const boundary = new RegExp(`(${longestFirst.map(escapeRegExp).join("|")})`);

  // Special tokens count only as they are written: what lower case makes look like one is text.
  const idsOf = (piece: string): number[] => {
    const specialId = specialIds.get(piece);
    return specialId === undefined
      ? tokenizer.encode(normalise(piece), { add_special_tokens: false }).ids
      : [specialId];
  };
  const encode = (prompt: string): number[] => {
    const ids = prompt
      .replace(/\p{Surrogate}/gu, "\ufffd")
      .split(boundary)
      .flatMap(idsOf);
    return [start, ...ids.slice(0, length - 2), end];
  };
  return {
    length,
    encodePrompts(prompts) {
      const inputIds = new Int32Array(prompts.length * length).fill(pad);
      prompts.forEach((prompt, row) => inputIds.set(encode(prompt), row * length));
      return { inputIds };
    },
  };
}

async function loadVocabulary(
  folder: string,
): Promise<{ vocabulary: Record<string, number>; merges: [string, string][]; file: string }> {
  const vocabularyFile = join(folder, "vocab.json");
  const mergesFile = join(folder, "merges.txt");
  if (existsSync(vocabularyFile) && existsSync(mergesFile)) {
    const vocabulary = validate(vocabularySchema, await readJson(vocabularyFile), {
      file: vocabularyFile,
      hint: "it must be an object from token to id",
    });
    const lines = (await readFile(mergesFile, "utf8"))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#version"));
    const merges = lines.map((line, index) => pairOf(mergesFile, line.replace(/\r$/, ""), index));
    return { vocabulary, merges, file: vocabularyFile };
  }
  const file = join(folder, "tokenizer.json");
  if (!existsSync(file))
    throw new InvalidFileError({
      file: folder,
      found: "neither",
      expected: "vocab.json with merges.txt, or tokenizer.json",
    });
  const { vocab, merges } = validate(tokenizerSchema, await readJson(file), {
    file,
    hint: "it must be a byte-pair model with vocab and merges",
  }).model;
  return {
    vocabulary: vocab,
    merges: merges.map((merge, index) => (typeof merge === "string" ? pairOf(file, merge, index) : merge)),
    file,
  };
}

function pairOf(file: string, line: string, index: number): [string, string] {
  const pair = line.split(" ");
  if (pair.length !== 2)
    throw new InvalidFileError({
      file,
      field: `merge ${index}`,
      found: JSON.stringify(line.slice(0, 40)),
      expected: "two tokens separated by a space",
    });
  return [pair[0], pair[1]];
}

interface SpecialTokens {
  readonly start: string;
  readonly end: string;
  readonly unknown: string;
  readonly pad: string;
}

async function loadSettings(folder: string): Promise<{ special: SpecialTokens; maxLength: number }> {
  const read = async (name: string): Promise<object> => {
    const json = existsSync(join(folder, name)) ? await readJson(join(folder, name)) : {};
    return typeof json === "object" && json !== null ? json : {};
  };
  const config = await read("tokenizer_config.json");
  // Before transformers wrote added_tokens_decoder, special_tokens_map.json had the last word: Stable Diffusion 2.1 pads with its "!".
  const specialTokens = "added_tokens_decoder" in config ? {} : await read("special_tokens_map.json");
  const settings = validate(
    settingsSchema,
    { ...config, ...specialTokens },
    { file: join(folder, "tokenizer_config.json") },
  );
  const { bos_token: start, eos_token: end, unk_token, pad_token, model_max_length } = settings;
  return {
    special: { start, end, unknown: unk_token ?? end, pad: pad_token ?? "<|endoftext|>" },
    maxLength: Math.floor(model_max_length ?? Infinity),
  };
}

/** White space as the reference's regex engine knows it: with NEL, without the byte-order mark. */
const WHITE_SPACE = /[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/gu;

/**
 * NFC, runs of white space to one space, lower case letter by letter (no final sigma).
 * JavaScript's own \s and toLowerCase differ from the reference in just these.
 */
function normalise(text: string): string {
  return Array.from(text.normalize("NFC").replace(WHITE_SPACE, " "), (letter) => letter.toLowerCase()).join("");
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** The reference's pipeline after normalisation, as the library reads it (transformers 5, tokenization_clip.py). */
function tokenizerJson(
  vocab: Readonly<Record<string, number>>,
  merges: readonly [string, string][],
  special: SpecialTokens,
): object {
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            Regex:
              "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\p{L}\\p{N}]+",
          },
          behavior: "Removed",
          invert: true,
        },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: null,
    decoder: null,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: special.unknown,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}
