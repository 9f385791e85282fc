/** Token ids against transformers' CLIPTokenizer; the fixture is made by test/fixtures/tokenizer.py. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { loadClipTokenizer } from "../../src/models/tokenizer/clipTokenizer.js";
import type { ClipTokenizer } from "../../src/models/tokenizer/clipTokenizer.js";

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const fixture = JSON.parse(readFileSync(path("../fixtures/tokenizer.json"), "utf8")) as {
  texts: { text: string; ids: number[] }[];
  /** the files of a tokenizer beside its vocabulary, and ids */
  padded: { name: string; files: Record<string, unknown>; texts: string[]; ids: number[][] }[];
  /** [first code point, how many are assigned, hash of their ids] */
  assigned: [number, number, string][];
};
/** Unicode 14, which the fixture's Python knows: Node may have more, and must agree on these. */
const unassignedThen = /[\p{Cn}\p{Co}\p{Cs}]/u;

describe("CLIP tokenizer", () => {
  let tokenizer: ClipTokenizer;
  beforeAll(async () => {
    tokenizer = await loadClipTokenizer(path("../../models/fluent-ldm/tokenizer"), 32);
  });

  it.each(fixture.texts)("$text", ({ text, ids }) => {
    expect(Array.from(tokenizer.encodePrompts([text]).inputIds)).toEqual(ids);
  });

  it.each(fixture.padded)("prompts with the padding token, by $name", async ({ files, texts, ids }) => {
    const folder = mkdtempSync(join(tmpdir(), "blockcache-tokenizer-"));
    for (const name of ["vocab.json", "merges.txt"])
      copyFileSync(path(`../../models/fluent-ldm/tokenizer/${name}`), join(folder, name));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(content));
    const padded = await loadClipTokenizer(folder, 32);
    expect(texts.map((text) => Array.from(padded.encodePrompts([text]).inputIds))).toEqual(ids);
    rmSync(folder, { recursive: true });
  });

  it("every assigned code point, alone and inside a word", () => {
    const differing: string[] = [];
    for (const [first, count, expected] of fixture.assigned) {
      const points = Array.from({ length: 256 }, (_, offset) => first + offset).filter(
        (point) => !unassignedThen.test(String.fromCodePoint(point)),
      );
      // A newer Unicode in Node assigns more than the fixture's Python knew in this block.
      if (points.length !== count) continue;
      const texts = points.flatMap((point) => [String.fromCodePoint(point), `a${String.fromCodePoint(point)}b`]);
      const { inputIds } = tokenizer.encodePrompts(texts);
      if (createHash("sha256").update(new Uint8Array(inputIds.buffer)).digest("hex") !== expected)
        differing.push(first.toString(16));
    }
    expect(differing).toEqual([]);
  });
});
