/** Files of prompts, as people have them. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readPrompts } from "../../src/cli/promptFile.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-prompts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (text: string | Buffer): Promise<readonly string[]> => {
  const path = join(folder, "prompts");
  writeFileSync(path, text);
  return readPrompts(path);
};

describe("a file of prompts", () => {
  it.each<[string, string | Buffer, string[]]>([
    ["lines", "red apple\n\n  blue book  \ntree", ["red apple", "blue book", "tree"]],
    ["lines of Windows and of old Macs", "red\r\nblue\rtree\r\n", ["red", "blue", "tree"]],
    ["UTF-16, as PowerShell writes it", Buffer.from("\ufeffcafé\r\n", "utf16le"), ["café"]],
    ["a list", '["red apple", " blue, book ", ""]', ["red apple", " blue, book ", ""]],
    ["a list over several lines, with a mark", '\ufeff[\n  "red",\n  "blue"\n]\n', ["red", "blue"]],
    ["what only begins like JSON", "[red] apple\n{a\n5\nnull", ["[red] apple", "{a", "5", "null"]],
    ["a number", "5", ["5"]],
  ])("may hold %s", async (_, text, prompts) => {
    expect(await read(text)).toEqual(prompts);
  });

  it.each([
    ["nothing", "\n \n", "found no prompt"],
    ["an empty list", "[]", "found []"],
    ["a list that was cut off", '[\n "red",\n "bl', "a JSON array with a mistake"],
    ["a list with a comma too many", '["red", "blue",]', "a JSON array with a mistake"],
    ["other values", '["red", 1]', 'found ["red",1]'],
    ["an object", '{"prompts": ["red"]}', 'found {"prompts":["red"]}'],
  ])("is refused where it holds %s, instead of being a prompt itself", async (_, text, found) => {
    await expect(read(text)).rejects.toThrow(found);
  });
});
