/** Modules that a user wrote: heuristics and reuse rules by their path. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { InvalidFileError } from "../errors.js";

/** Whether a name is the path of a module: the library's own names have neither dots nor slashes. */
export function isModulePath(name: string): boolean {
  return /[./\\]/.test(name);
}

/**
 * What a module exports.
 *
 * @param version a module that was imported before is loaded afresh under another version
 * @throws InvalidFileError where it cannot be imported
 */
export async function importModule(
  path: string,
  hint: string,
  version?: number,
): Promise<Readonly<Record<string, unknown>>> {
  const query = version === undefined ? "" : `?version=${version}`;
  const module = (await import(pathToFileURL(resolve(path)).href + query).catch((error: unknown) => {
    throw new InvalidFileError({
      file: path,
      found: error instanceof Error ? error.message.split("\n")[0] : String(error),
      expected: "a JavaScript module",
      hint,
    });
  })) as Readonly<Record<string, unknown>>;
  return { ...module };
}
