/** Tokens added to a CLIP tokenizer, against transformers; the fixture is made by test/fixtures/addedTokens.py. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { InvalidFileError } from "../../src/errors.js";
import { loadClipTokenizer } from "../../src/models/tokenizer/clipTokenizer.js";
import type { ClipTokenizer } from "../../src/models/tokenizer/clipTokenizer.js";

interface TokenizerJson {
  readonly model: { readonly vocab: unknown };
}
const { texts, cases } = JSON.parse(readFileSync("test/fixtures/addedTokens.json", "utf8")) as {
  texts: string[];
  cases: { name: string; files: Record<string, unknown>; ids?: number[][]; refused?: string }[];
};
const FOLDER = join("test", "fixtures", "models", "sd1-like", "tokenizer");
const vocab = JSON.parse(readFileSync(join(FOLDER, "vocab.json"), "utf8")) as Record<string, number>;
const merges = readFileSync(join(FOLDER, "merges.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#version"));
const scratch = mkdtempSync(join(tmpdir(), "blockcache-tokens-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The fixture's tokenizer with some of its files replaced, added or (null) removed. */
function load(files: Readonly<Record<string, unknown>>): Promise<ClipTokenizer> {
  const folder = mkdtempSync(join(scratch, "tokenizer-"));
  for (const name of ["vocab.json", "merges.txt", "tokenizer_config.json"])
    copyFileSync(join(FOLDER, name), join(folder, name));
  for (const [name, content] of Object.entries(files)) {
    rmSync(join(folder, name), { force: true });
    if (content === null) continue;
    const { model } = content as TokenizerJson;
    const isShort = name === "tokenizer.json" && model.vocab === null;
    writeFileSync(
      join(folder, name),
      JSON.stringify(isShort ? { ...content, model: { ...model, vocab, merges } } : content),
    );
  }
  return loadClipTokenizer(folder, 16);
}

describe("ids", () => {
  it.each(cases.filter(({ ids }) => ids !== undefined))("$name", async ({ files, ids }) => {
    const tokenizer = await load(files);
    expect(texts.map((text) => Array.from(tokenizer.encodePrompts([text]).inputIds))).toEqual(ids);
  });

  it.each(cases.filter(({ refused }) => refused !== undefined))("$name: refused, as there", async ({ files }) => {
    const tokenizer = await load(files);
    expect(() => tokenizer.encodePrompts(texts)).toThrow(InvalidFileError);
  });
});

const toys = { "added_tokens.json": { "<cat-toy>": 4014, "<cat-toy>_1": 4015, "<cat-toy>_2": 4016, "<s1>": 4017 } };

describe("what does not fit", () => {
  const long = `${"one ".repeat(13)}two <s1> three`;
  it("is told, and nothing where all fits", async () => {
    const tokenizer = await load(toys);
    expect(tokenizer.encodePrompts([long, "one two"]).cut).toEqual(["<s1> three", ""]);
  });

  it("is what stands in front where the left is cut", async () => {
    const config = JSON.parse(readFileSync(join(FOLDER, "tokenizer_config.json"), "utf8")) as object;
    const tokenizer = await load({ ...toys, "tokenizer_config.json": { ...config, truncation_side: "left" } });
    expect(tokenizer.encodePrompts([`Red ${long}`]).cut).toEqual(["red one one"]);
  });
});

it("a token of several vectors stands for all of them in a pipeline", async () => {
  const tokenizer = await load(toys);
  // diffusers.StableDiffusionPipeline.maybe_convert_prompt(prompt, tokenizer)
  expect(tokenizer.expandVectors("a <cat-toy> on <s1>")).toBe("a <cat-toy> <cat-toy>_1 <cat-toy>_2 on <s1>");
  expect(tokenizer.expandVectors("a <cat-toy>, <cat-toy>")).toBe(
    "a <cat-toy> <cat-toy>_1 <cat-toy>_2, <cat-toy> <cat-toy>_1 <cat-toy>_2",
  );
  expect(tokenizer.expandVectors("a cat")).toBe("a cat");
});
