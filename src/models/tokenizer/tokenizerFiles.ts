/** The files of a tokenizer's folder: vocabulary, added tokens and settings, each from where transformers takes it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { readJson, validate } from "../../files/json.js";
import { readText } from "../../files/text.js";
import type { Vocabulary } from "./bytePairs.js";
import {
  addedFileSchema,
  addedListSchema,
  configTokensSchema,
  specialTokensOf,
  tokensMapSchema,
} from "./specialTokens.js";
import type { SpecialTokens } from "./specialTokens.js";

type Side = "left" | "right";

/** How prompts are padded, cut and split. */
export interface TokenizerSettings {
  /** tokens of a prompt, start and end included; Infinity where nothing is said */
  readonly maxLength: number;
  readonly paddingSide: Side;
  readonly truncationSide: Side;
  /** whether special tokens within a prompt are treated as text */
  readonly splitSpecialTokens: boolean;
}

export interface TokenizerFiles {
  readonly vocabulary: Vocabulary;
  readonly special: SpecialTokens;
  readonly settings: TokenizerSettings;
  /** tokenizer_config.json, for messages */
  readonly file: string;
}

const side = z.enum(["left", "right"]);
const settingsSchema = z.looseObject({
  /** transformers writes 1e30 for no limit */
  model_max_length: z.number().min(2).nullish(),
  padding_side: side.optional(),
  truncation_side: side.optional(),
  split_special_tokens: z.boolean().default(false),
});
const vocabularySchema = z.record(z.string(), z.number().int().nonnegative());
const direction = z.object({ direction: z.enum(["Left", "Right"]).default("Right") }).nullish();
const tokenizerSchema = z.looseObject({
  added_tokens: addedListSchema.default([]),
  padding: direction,
  truncation: direction,
  model: z.looseObject({
    vocab: vocabularySchema,
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
});
type TokenizerJson = z.infer<typeof tokenizerSchema>;

/**
 * Reads a tokenizer's folder. Where there is a tokenizer.json, its vocabulary, merges and sides are used and vocab.json
 * is not read; its other parts are ignored, since CLIPTokenizer fixes them.
 *
 * @throws InvalidFileError where files are missing or wrong
 */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const read = async <S extends z.ZodType>(name: string, schema: S): Promise<z.infer<S> | undefined> => {
    const file = join(folder, name);
    return existsSync(file) ? validate(schema, await readJson(file), { file }) : undefined;
  };
  const whole = await read("tokenizer.json", tokenizerSchema);
  const config = (await read("tokenizer_config.json", configTokensSchema)) ?? {};
  const settings = (await read("tokenizer_config.json", settingsSchema)) ?? { split_special_tokens: false };
  return {
    vocabulary:
      whole === undefined ? await readVocabulary(folder) : vocabularyOf(join(folder, "tokenizer.json"), whole),
    special: specialTokensOf({
      config,
      map: await read("special_tokens_map.json", tokensMapSchema),
      addedFile: await read("added_tokens.json", addedFileSchema),
      addedList: whole?.added_tokens,
    }),
    settings: {
      maxLength: Math.floor(settings.model_max_length ?? Infinity),
      paddingSide: settings.padding_side ?? sideOf(whole?.padding),
      truncationSide: settings.truncation_side ?? sideOf(whole?.truncation),
      splitSpecialTokens: settings.split_special_tokens,
    },
    file: join(folder, "tokenizer_config.json"),
  };
}

function sideOf(setting: z.infer<typeof direction>): Side {
  return setting?.direction === "Left" ? "left" : "right";
}

function vocabularyOf(file: string, { model }: TokenizerJson): Vocabulary {
  const merges = model.merges.map((merge, index) => (typeof merge === "string" ? pairOf(file, merge, index) : merge));
  return { ids: new Map(Object.entries(model.vocab)), merges, file };
}

async function readVocabulary(folder: string): Promise<Vocabulary> {
  const file = join(folder, "vocab.json");
  const mergesFile = join(folder, "merges.txt");
  if (!existsSync(file) || !existsSync(mergesFile))
    throw new InvalidFileError({
      file: folder,
      found: "neither",
      expected: "tokenizer.json, or vocab.json with merges.txt",
    });
  const ids = validate(vocabularySchema, await readJson(file), { file, hint: "it must be an object from token to id" });
  const lines = (await readText(mergesFile, "two tokens per line"))
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#version"));
  const merges = lines.map((line, index) => pairOf(mergesFile, line.replace(/\r$/, ""), index));
  return { ids: new Map(Object.entries(ids)), merges, file };
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
