/** CLIP's tokenizer, equal to transformers 5's CLIPTokenizer. */
import { InvalidFileError } from "../../errors.js";
import { AddedTokens } from "./addedTokens.js";
import { BytePairs, normalise } from "./bytePairs.js";
import { readTokenizerFiles } from "./tokenizerFiles.js";

/** Turns prompts into token ids of one length. */
export interface ClipTokenizer {
  /** tokens of a padded prompt, start and end included */
  readonly length: number;
  /**
   * Padded and truncated as transformers does with `padding="max_length", truncation=True`.
   *
   * @returns ids [prompts, length]; and for each prompt the part that did not fit, as text in lower case (empty where
   *   everything did)
   * @throws InvalidFileError where the files name no padding token
   */
  encodePrompts(prompts: readonly string[]): { readonly inputIds: Int32Array; readonly cut: readonly string[] };
  /** A prompt's tokens as texts, with start and end but without padding, and their places among all `length`. */
  tokensOf(prompt: string): readonly { readonly text: string; readonly place: number }[];
  /**
   * A prompt as diffusers' pipelines rewrite it: a token that textual inversion trained as several vectors
   * (`<cat>`, `<cat>_1`, `<cat>_2`) stands for all of them.
   *
   * Source: diffusers 0.42, loaders/textual_inversion.py, `maybe_convert_prompt`.
   */
  expandVectors(prompt: string): string;
}

/**
 * Loads tokenizer.json, or vocab.json with merges.txt, and the tokens that these and the files beside them add.
 *
 * @param positions that the text encoder has; prompts have this length, or tokenizer_config.json's model_max_length if
 *   that is less
 * @throws InvalidFileError where files are missing or do not fit each other
 */
export async function loadClipTokenizer(folder: string, positions: number): Promise<ClipTokenizer> {
  const { vocabulary, special, settings, file } = await readTokenizerFiles(folder);
  const added = new AddedTokens(vocabulary.ids, special.added, normalise, settings.splitSpecialTokens);
  const pairs = new BytePairs(vocabulary, special.unknown);
  const length = Math.min(positions, settings.maxLength);
  const room = length - 2;

  const idOf = (role: string, content: string): number => {
    const id = added.idOf(content);
    if (id === undefined)
      throw new InvalidFileError({ file, field: role, found: JSON.stringify(content), expected: "a token" });
    return id;
  };
  const [start, end] = [idOf("bos_token", special.start), idOf("eos_token", special.end)];
  const padding = (): number => {
    if (special.pad === undefined)
      throw new InvalidFileError({
        file,
        field: "pad_token",
        found: "null",
        expected: "the token that fills up prompts",
      });
    return idOf("pad_token", special.pad);
  };
  const partsOf = (prompt: string): (string | number)[] => added.split(prompt.replace(/\p{Surrogate}/gu, "\ufffd"));
  const decode = (ids: readonly number[]): string => {
    const runs: (string | number[])[] = [];
    for (const id of ids) {
      const content = added.contentOf(id);
      const last = runs.at(-1);
      if (content !== undefined) runs.push(content);
      else if (Array.isArray(last)) last.push(id);
      else runs.push([id]);
    }
    return runs
      .map((run) => (typeof run === "string" ? run : pairs.decode(run)))
      .join(" ")
      .replace(/\s+/g, " ")
      .trim();
  };

  const encode = (prompt: string): { readonly row: number[]; readonly cut: string } => {
    const ids = partsOf(prompt).flatMap((part) => (typeof part === "number" ? [part] : pairs.encode(part)));
    const over = Math.max(0, ids.length - room);
    const fromLeft = settings.truncationSide === "left";
    const kept = fromLeft ? ids.slice(over) : ids.slice(0, ids.length - over);
    const cut = fromLeft ? ids.slice(0, over) : ids.slice(ids.length - over);
    return { row: [start, ...kept, end], cut: decode(cut) };
  };
  const firstPlace = (row: readonly number[]): number => (settings.paddingSide === "left" ? length - row.length : 0);
  return {
    length,
    encodePrompts(prompts) {
      const inputIds = new Int32Array(prompts.length * length).fill(padding());
      const encoded = prompts.map(encode);
      encoded.forEach(({ row }, index) => {
        inputIds.set(row, index * length + firstPlace(row));
      });
      return { inputIds, cut: encoded.map(({ cut }) => cut) };
    },
    tokensOf(prompt) {
      const { row } = encode(prompt);
      const first = firstPlace(row);
      return row.map((id, index) => ({ text: decode([id]), place: first + index }));
    },
    expandVectors(prompt) {
      const tokens = partsOf(prompt).map((part) => (typeof part === "number" ? added.contentOf(part) : undefined));
      let expanded = prompt;
      for (const token of new Set(tokens.filter((each) => each !== undefined))) {
        const vectors = [token];
        while (added.idOf(`${token}_${vectors.length}`) !== undefined) vectors.push(`${token}_${vectors.length}`);
        expanded = expanded.replaceAll(token, () => vectors.join(" "));
      }
      return expanded;
    },
  };
}
