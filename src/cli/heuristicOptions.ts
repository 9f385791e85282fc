/** `--heuristic`, `--option` and what chooses the blocks: shared by the commands that find schedules. */
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { HEURISTICS } from "../caching/heuristics/registry.js";
import type { BlockKind } from "../graphs/block.js";
import { kindsOption } from "./kinds.js";

export interface HeuristicOptions {
  readonly heuristic: string;
  readonly option: Readonly<Record<string, unknown>>;
  readonly kinds?: BlockKind[];
  readonly pattern?: string;
  readonly resolutions?: [number, number][];
}

/** Adds the options that choose a heuristic and the blocks that it may cache. */
export function withHeuristic(command: Command): Command {
  const described = HEURISTICS.map(({ name, parameter }) => `${name} (${parameter})`).join(", ");
  return command
    .option("--heuristic <name>", `one of ${described}, by the option that each is tuned by; or the path of a module whose default export is one`, "threshold")
    .option("--option <key=value>", "an option of the heuristic; may be repeated", keyValue, {})
    .addOption(kindsOption("which kinds may be cached (default: transformer; with --pattern all)"))
    .option("--pattern <pattern>", "which blocks may be cached, such as down_blocks.*.attentions.*")
    .option("--resolutions <sizes...>", "only blocks whose C has one of these heights and widths in latents, such as 16x16", size, []);
}

/** Which blocks the options choose. */
export function cacheableOf({ kinds, pattern, resolutions }: HeuristicOptions): { kinds?: BlockKind[]; pattern?: string; resolutions?: [number, number][] } {
  return { kinds, pattern, ...(resolutions === undefined || resolutions.length === 0 ? {} : { resolutions }) };
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
