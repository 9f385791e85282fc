/** Files of prompts. */
import { InvalidFileError } from "../errors.js";
import { readText } from "../files/text.js";

/** What `--prompts` takes, for help texts. */
export const PROMPT_FILE = "text with one prompt per line, or a JSON array of strings";

/** No prompt begins so: its lines would become prompts, brackets and commas too. */
const BEGINS_AS_LIST = /^\s*\[\s*"/;

/**
 * `--prompts prompts.txt`: one prompt per line, without empty lines; or `prompts.json`, an array of strings, taken as
 * they are.
 *
 * @throws InvalidFileError where it is neither, or there is no prompt
 */
export async function readPrompts(path: string): Promise<readonly string[]> {
  const expected = `one prompt or more: ${PROMPT_FILE}`;
  const text = await readText(path, expected);
  const json = jsonIn(text);
  if (json === undefined) {
    if (BEGINS_AS_LIST.test(text))
      throw new InvalidFileError({ file: path, found: "a JSON array with a mistake, or without its end", expected });
    const lines = text
      .split(/\r\n|\r|\n/)
      .map((line) => line.trim())
      .filter((line) => line !== "");
    if (lines.length === 0) throw new InvalidFileError({ file: path, found: "no prompt", expected });
    return lines;
  }
  if (Array.isArray(json) && json.length > 0 && json.every((each) => typeof each === "string")) return json;
  throw new InvalidFileError({
    file: path,
    found: JSON.stringify(json).slice(0, 60),
    expected,
    hint: 'for example ["red apple", "green pear"]',
  });
}

/** The list or object that the text is as JSON; undefined for any other text, since a prompt may be a number. */
function jsonIn(text: string): object | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}
