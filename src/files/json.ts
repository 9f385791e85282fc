import { writeFile } from "node:fs/promises";
import type { z } from "zod";
import { InvalidFileError } from "../errors.js";
import { replaceFile } from "./replaceFile.js";
import { schemaProblem } from "./schemaProblem.js";
import { readText } from "./text.js";

// Python writes numbers that JSON does not have, such as diffusers' `"lambda_min_clipped": -Infinity`. Strings match
// first, so that these words inside a string stay as they are.
const STRING_OR_PYTHON_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?Infinity|NaN/g;

/**
 * Reads a JSON file; Python's bare -Infinity, Infinity and NaN become strings of that name.
 *
 * @throws InvalidFileError where it is missing, is not JSON, or is neither UTF-8 nor UTF-16 with a mark
 */
export async function readJson(path: string): Promise<unknown> {
  const text = await readText(path, "a JSON file");
  try {
    return JSON.parse(text.replace(STRING_OR_PYTHON_NUMBER, (match) => (match.startsWith('"') ? match : `"${match}"`)));
  } catch (error) {
    // The message quotes the text, including its line breaks.
    throw new InvalidFileError({
      file: path,
      found: error instanceof Error ? error.message.replace(/\s+/g, " ") : "no JSON",
      expected: "JSON",
      hint: "fix it, or get it again from its source",
    });
  }
}

/** Writes plain data as JSON; the file is replaced in one go. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await replaceFile(path, (temporary) => writeFile(temporary, `${JSON.stringify(value, undefined, 1)}\n`));
}

/**
 * A value of a file, checked against a schema.
 *
 * @param where the file, the field in it that holds the value (none: the whole file), and how to fix it
 * @throws InvalidFileError that names the first field that breaks the schema
 */
export function validate<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  where: { file: string; field?: string; hint?: string },
): z.infer<Schema> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { field, found, expected } = schemaProblem(parsed.error, value);
  const path = [where.field, field].filter((part) => part !== undefined).join(".");
  throw new InvalidFileError({ ...where, field: path || undefined, found, expected });
}
