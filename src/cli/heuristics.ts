/** Heuristics as the command line names them. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { HEURISTICS, heuristicNamed } from "../caching/heuristics/registry.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import { InvalidFileError } from "../errors.js";

/** What `--heuristic` takes, for help texts. */
export const HEURISTIC_NAMES = `${HEURISTICS.map(({ name }) => name).join(", ")}, or the path of a module that exports one`;

const moduleSchema = z.object({ default: z.custom<NamedHeuristic>((value) => typeof value === "object" && value !== null && "find" in value && "parameter" in value && "values" in value) });

/**
 * A heuristic by its name, or the default export of a JavaScript module: what `defineHeuristic` returns.
 *
 * @throws ArgumentError for an unknown name; InvalidFileError where the module exports none
 */
export async function findHeuristic(nameOrPath: string): Promise<NamedHeuristic> {
  if (!/[./\\]/.test(nameOrPath)) return heuristicNamed(nameOrPath);
  const expected = "a module whose default export is what defineHeuristic returns";
  const loaded: unknown = await import(pathToFileURL(resolve(nameOrPath)).href).catch((error: unknown) => {
    throw new InvalidFileError({ file: nameOrPath, found: error instanceof Error ? error.message.split("\n")[0] : String(error), expected });
  });
  const parsed = moduleSchema.safeParse(loaded);
  if (!parsed.success) throw new InvalidFileError({ file: nameOrPath, field: "default", found: "something else", expected });
  return parsed.data.default;
}
