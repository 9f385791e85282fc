/** `--heuristic` and `--option`: one of the library's by name, or a user's own by the path of a module. */
import { basename, extname } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { z } from "zod";
import { HEURISTICS, defineHeuristic } from "../caching/heuristics/registry.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import type { Heuristic } from "../caching/heuristics/heuristic.js";
import { checkSchedule } from "../caching/schedule/checkSchedule.js";
import type { BlockKind } from "../graphs/block.js";
import { validate } from "../files/json.js";
import { UsageError } from "./command.js";
import { keyValue } from "./keyValue.js";
import { kindsOption } from "./kinds.js";
import { importModule, isModulePath } from "./userModule.js";

export interface HeuristicOptions {
  readonly heuristic: string;
  readonly option?: Readonly<Record<string, unknown>>;
  readonly kinds?: BlockKind[];
  readonly pattern?: string;
  readonly resolutions?: [number, number][];
}

/** What `--heuristic` takes, for help texts. */
export const HEURISTIC_NAMES = `one of ${HEURISTICS.map(({ name, parameter }) => `${name} (${parameter})`).join(", ")}, with the option that tunes it in brackets; or the path of a module whose default export is a heuristic`;

/** Adds the options that choose a heuristic and the blocks that it may cache. */
export function withHeuristic(command: Command): Command {
  return command
    .option("--heuristic <name>", HEURISTIC_NAMES, "threshold")
    .option("--option <key=value>", "an option of the heuristic; may be repeated", keyValue)
    .addOption(kindsOption("which kinds may be cached (default: transformer; with --pattern, all)"))
    .option("--pattern <pattern>", "which blocks may be cached, such as down_blocks.*.attentions.*")
    .option(
      "--resolutions <sizes...>",
      "only blocks whose C has one of these heights and widths in latents, such as 16x16",
      size,
    );
}

/** Which blocks the options choose. */
export function cacheableOf({
  kinds,
  pattern,
  resolutions,
}: HeuristicOptions): Pick<HeuristicOptions, "kinds" | "pattern" | "resolutions"> {
  return { kinds, pattern, resolutions };
}

// zod's numbers leave Infinity out.
const bound = z.union([z.number(), z.literal(Infinity)]);

const moduleSchema = z.object({
  default: z.custom<Heuristic>((value) => typeof value === "function", "a function (profile, options) => schedule"),
  parameter: z.string().default(""),
  values: z.array(z.number()).default([]),
  bounds: z.tuple([bound, bound]).optional(),
  integer: z.boolean().optional(),
});

/**
 * A heuristic by its name or by the path of a module: its default export is the function, and `parameter`
 * (the option that --speedup and sweeps vary), `values`, `bounds`, `integer` may stand beside it. What it
 * returns is checked. A module that was loaded before is loaded afresh under another version.
 */
export async function loadHeuristic(name: string, version?: number): Promise<NamedHeuristic> {
  if (!isModulePath(name)) {
    const known = HEURISTICS.find((each) => each.name === name);
    if (known === undefined)
      throw new UsageError(
        `--heuristic: expected ${HEURISTICS.map((each) => each.name).join(", ")} or the path of a module such as ./mine.mjs, found "${name}"`,
      );
    return known;
  }
  const hint = "export default (profile, options) => schedule";
  const { default: find, ...rest } = validate(moduleSchema, await importModule(name, hint, version), {
    file: name,
    hint,
  });
  const checked: Heuristic = (profile, options) =>
    checkSchedule(find(profile, options), `${name}: the schedule that it returned`);
  return defineHeuristic({ ...rest, name: basename(name, extname(name)), find: checked });
}

function size(text: string, before: readonly [number, number][] = []): [number, number][] {
  const [, height, width] = /^(\d+)[x×](\d+)$/.exec(text) ?? [];
  if (height === undefined) throw new InvalidArgumentError(`expected height and width such as 16x16, found "${text}".`);
  return [...before, [Number(height), Number(width)]];
}
