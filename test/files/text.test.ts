/** Text files in the encodings that people's programs write; bytes as `iconv -t` makes them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { readPrompts } from "../../src/cli/promptFile.js";
import { readJson } from "../../src/files/json.js";
import { readText } from "../../src/files/text.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-text-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, hex: string): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.from(hex.replaceAll(" ", ""), "hex"));
  return path;
}

// printf 'caf\xc3\xa9\n\xf0\x9f\x8d\x8f' | iconv -f UTF-8 -t …
it.each([
  ["UTF-8", "63 61 66 c3a9 0a f09f8d8f"],
  ["UTF-8 with a mark", "efbbbf 63 61 66 c3a9 0a f09f8d8f"],
  ["UTF-16LE with a mark", "fffe 6300 6100 6600 e900 0a00 3cd84fdf"],
  ["UTF-16BE with a mark", "feff 0063 0061 0066 00e9 000a d83cdf4f"],
])("%s is read", async (name, hex) => {
  const path = file(`${name}.txt`, hex);
  expect(await readText(path, "text")).toBe("café\n🍏");
  expect(await readPrompts(path)).toEqual(["café", "🍏"]);
});

it.each([
  ["Latin-1", "726564 0a 636166e9", /bytes in line 2 that are not UTF-8.*iconv/],
  ["UTF-16LE without a mark", "6300 6100 7400", /zero bytes, as in UTF-16.*-f UTF-16LE/],
  ["UTF-16BE without a mark", "0063 0061 0074", /zero bytes, as in UTF-16.*-f UTF-16BE/],
  ["UTF-16 that ends within a letter", "fffe 6300 61", /bytes that are not UTF-16LE/],
  ["UTF-32 with a mark", "fffe0000 63000000", /found UTF-32/],
  ["UTF-8 that ends within a letter", "636166c3", /bytes in line 1 that are not UTF-8/],
])("%s is refused", async (name, hex, message) => {
  const path = file(`${name}.txt`, hex);
  await expect(readText(path, "text")).rejects.toThrow(message);
  await expect(readPrompts(path)).rejects.toThrow(message);
  await expect(readJson(path)).rejects.toThrow(message);
});

it("lines may end as they do on any system, and JSON may have a mark", async () => {
  expect(await readPrompts(file("mixed.txt", "61 0d0a 62 0d 0d 63 0a 20 0a 64"))).toEqual(["a", "b", "c", "d"]);
  expect(await readJson(file("marked.json", "efbbbf 7b7d"))).toEqual({});
  expect(await readJson(file("wide.json", "fffe 5b00 5d00"))).toEqual([]);
});
