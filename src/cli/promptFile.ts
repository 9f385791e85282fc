import { readFile } from "node:fs/promises";
import { InvalidFileError } from "../errors.js";

/** `--prompts prompts.txt`: one prompt a line, empty lines left out. Throws InvalidFileError where there is none. */
export async function readPromptLines(path: string): Promise<string[]> {
  const expected = "a text file with one prompt a line";
  const text = await readFile(path, "utf8").catch(() => {
    throw new InvalidFileError({ file: path, found: "no readable file", expected });
  });
  const prompts = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (prompts.length === 0) throw new InvalidFileError({ file: path, found: "no prompt", expected });
  return prompts;
}
