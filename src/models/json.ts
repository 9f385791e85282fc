import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { InvalidFileError } from "../errors.js";

// Python writes numbers that JSON does not have, such as diffusers' `"lambda_min_clipped": -Infinity`.
const PYTHON_NUMBER = /([:,[]\s*)(-?Infinity|NaN)(?=\s*[,}\]])/g;

/**
 * Reads a JSON file; Python's bare -Infinity, Infinity and NaN become strings of that name.
 *
 * @throws InvalidFileError where it is missing or no JSON
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new InvalidFileError({ file: path, found: error instanceof Error && "code" in error ? String(error.code) : "no readable file", expected: "a JSON file" });
  }
  try {
    return JSON.parse(text.replace(PYTHON_NUMBER, '$1"$2"'));
  } catch (error) {
    throw new InvalidFileError({ file: path, found: error instanceof Error ? error.message : "no JSON", expected: "JSON" });
  }
}

/** Writes plain data as JSON; the file is replaced in one go. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify(value, undefined, 1)}\n`);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
