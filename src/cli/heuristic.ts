/** `--heuristic` and `--option`: one of the library's by name, or a user's own by the path of a module. */
import { basename, extname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { z } from "zod";
import { InvalidFileError } from "../errors.js";
import { HEURISTICS, defineHeuristic, heuristicNamed } from "../caching/heuristics/registry.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import type { Heuristic } from "../caching/heuristics/heuristic.js";
import type { BlockKind } from "../graphs/block.js";
import { validate } from "../models/json.js";
import { kindsOption } from "./kinds.js";

export interface HeuristicOptions {
  readonly heuristic: string;
  readonly option: Readonly<Record<string, unknown>>;
  readonly kinds?: BlockKind[];
  readonly pattern?: string;
  readonly resolutions?: [number, number][];
}

/** What `--heuristic` takes, for help texts. */
export const HEURISTIC_NAMES = `one of ${HEURISTICS.map(({ name, parameter }) => `${name} (${parameter})`).join(", ")}, by the option that each is tuned by; or the path of a module whose default export is one`;

/** Adds the options that choose a heuristic and the blocks that it may cache. */
export function withHeuristic(command: Command): Command {
  return command
    .option("--heuristic <name>", HEURISTIC_NAMES, "threshold")
    .option("--option <key=value>", "an option of the heuristic; may be repeated", keyValue, {})
    .addOption(kindsOption("which kinds may be cached (default: transformer; with --pattern all)"))
    .option("--pattern <pattern>", "which blocks may be cached, such as down_blocks.*.attentions.*")
    .option("--resolutions <sizes...>", "only blocks whose C has one of these heights and widths in latents, such as 16x16", size, []);
}

/** Which blocks the options choose. */
export function cacheableOf({ kinds, pattern, resolutions }: HeuristicOptions): { kinds?: BlockKind[]; pattern?: string; resolutions?: [number, number][] } {
  return { kinds, pattern, ...(resolutions === undefined || resolutions.length === 0 ? {} : { resolutions }) };
}

const moduleSchema = z.object({
  default: z.custom<Heuristic>((value) => typeof value === "function", "a function (profile, options) => schedule"),
  parameter: z.string().default(""),
  values: z.array(z.number()).default([]),
  bounds: z.tuple([z.number(), z.number()]).default([0, Infinity]),
  integer: z.boolean().default(false),
});

/**
 * A heuristic by its name or by the path of a module: its default export is the function, and `parameter`
 * (the option that --speedup and sweeps vary), `values`, `bounds`, `integer` may stand beside it.
 */
export async function loadHeuristic(name: string): Promise<NamedHeuristic> {
  if (!/[./\\]/.test(name)) return heuristicNamed(name);
  const hint = "export default (profile, options) => schedule";
  const module = (await import(pathToFileURL(resolve(name)).href).catch((error: unknown) => {
    throw new InvalidFileError({ file: name, found: error instanceof Error ? error.message.split("\n")[0] : String(error), expected: "a JavaScript module", hint });
  })) as Readonly<Record<string, unknown>>;
  const { default: find, ...rest } = validate(moduleSchema, { ...module }, { file: name, hint });
  return defineHeuristic({ ...rest, name: basename(name, extname(name)), find });
}

function keyValue(text: string, before: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new InvalidArgumentError(`expected key=value, found "${text}".`);
  return { ...before, [text.slice(0, equals)]: plain(text.slice(equals + 1)) };
}

/** A number, a truth value or a list as JSON has them, else text. */
function plain(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function size(text: string, before: readonly [number, number][]): [number, number][] {
  const [, height, width] = /^(\d+)[x×](\d+)$/.exec(text) ?? [];
  if (height === undefined) throw new InvalidArgumentError(`expected height and width such as 16x16, found "${text}".`);
  return [...before, [Number(height), Number(width)]];
}
