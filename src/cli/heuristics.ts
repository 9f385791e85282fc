/** Heuristics as the command line names them. */
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Heuristic } from "../caching/heuristics/heuristic.js";
import { HEURISTICS, defineHeuristic, heuristicNamed } from "../caching/heuristics/registry.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import { InvalidFileError } from "../errors.js";

/** What `--heuristic` takes, for help texts. */
export const HEURISTIC_NAMES = `${HEURISTICS.map(({ name }) => name).join(", ")}, or the path of a module that exports one`;

/** What `defineHeuristic` returns, or a function with what is said of it beside it. */
const moduleSchema = z.union([
  z.object({ default: z.custom<NamedHeuristic>((value) => typeof value === "object" && value !== null && "find" in value && "parameter" in value && "values" in value) }),
  z.object({
    default: z.custom<Heuristic>((value) => typeof value === "function"),
    parameter: z.string().default(""),
    values: z.array(z.number()).default([]),
    bounds: z.tuple([z.number(), z.number()]).optional(),
    integer: z.boolean().optional(),
  }),
]);

/**
 * A heuristic by its name, or the default export of a JavaScript module: what `defineHeuristic` returns, or a
 * function; then `parameter` (the option that --speedup and sweeps vary), `values`, `bounds` and `integer`
 * may be exported beside it, and its name is the file's.
 *
 * @throws ArgumentError for an unknown name; InvalidFileError where the module exports none
 */
export async function findHeuristic(nameOrPath: string): Promise<NamedHeuristic> {
  if (!/[./\\]/.test(nameOrPath)) return heuristicNamed(nameOrPath);
  const expected = "a module whose default export is a function (profile, options) => schedule, or what defineHeuristic returns";
  const loaded = (await import(pathToFileURL(resolve(nameOrPath)).href).catch((error: unknown) => {
    throw new InvalidFileError({ file: nameOrPath, found: error instanceof Error ? error.message.split("\n")[0] : String(error), expected });
  })) as Readonly<Record<string, unknown>>;
  const parsed = moduleSchema.safeParse({ ...loaded });
  if (!parsed.success) throw new InvalidFileError({ file: nameOrPath, field: "default", found: "something else", expected });
  if (!("parameter" in parsed.data)) return parsed.data.default;
  const { default: find, ...rest } = parsed.data;
  return defineHeuristic({ ...rest, name: basename(nameOrPath, extname(nameOrPath)), find });
}
