/** What our own safetensors files say of themselves in their metadata. */
import { InvalidFileError } from "../errors.js";
import type { SafetensorsFile } from "./safetensors.js";

/** Throws InvalidFileError where a file is of another format than this one of ours. */
export function requireFormat({ path, metadata }: SafetensorsFile, format: string, hint?: string): void {
  if (metadata.format === format) return;
  throw new InvalidFileError({
    file: path,
    field: "__metadata__.format",
    found: JSON.stringify(metadata.format ?? null),
    expected: `"${format}"`,
    hint,
  });
}

/** An entry's value; undefined where it is not JSON, so that a schema can say what is missing. */
export function parseEntry(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
