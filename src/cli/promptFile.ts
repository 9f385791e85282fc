import { InvalidFileError } from "../errors.js";
import { readText } from "../files/text.js";

/** `--prompts prompts.txt`: one prompt per line, empty lines left out. Throws InvalidFileError where there is none. */
export async function readPromptLines(path: string): Promise<string[]> {
  const expected = "a text file with one prompt per line";
  const prompts = (await readText(path, expected))
    .split(/\r\n|\r|\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (prompts.length === 0) throw new InvalidFileError({ file: path, found: "no prompt", expected });
  return prompts;
}
