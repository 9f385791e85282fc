/** The edits that `blockcache schedule` makes after the heuristic, in this order. */
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { computeEnds, forbid, limitAge, perturb, pin, union } from "../caching/schedule/edits.js";
import type { Cells } from "../caching/schedule/edits.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { integerList, nonNegativeInteger } from "./command.js";

export interface EditOptions {
  readonly perturb?: number;
  readonly union?: string;
  readonly maxAge?: number;
  readonly first?: number;
  readonly last?: number;
  readonly pin?: readonly Cells[];
  readonly forbid?: readonly Cells[];
}

export function withEdits(command: Command): Command {
  return command
    .option("--perturb <seed>", "move computing evaluations by one, at random", nonNegativeInteger)
    .option("--union <schedule>", "also compute where this schedule does")
    .option("--max-age <n>", "no cache is reused for more than n evaluations", nonNegativeInteger)
    .option("--first <n>", "the first n evaluations compute", nonNegativeInteger)
    .option("--last <n>", "the last n evaluations compute", nonNegativeInteger)
    .option(
      "--pin <pattern:list>",
      "blocks that compute at these evaluations, such as mid_block.**:3,4; may be repeated",
      cells,
    )
    .option("--forbid <pattern:list>", "blocks that reuse at these evaluations; may be repeated", cells);
}

export async function applyEdits(schedule: Schedule, options: EditOptions): Promise<Schedule> {
  let edited = schedule;
  if (options.perturb !== undefined) edited = perturb(edited, { seed: options.perturb });
  if (options.union !== undefined) edited = union(edited, await loadSchedule(options.union));
  if (options.maxAge !== undefined) edited = limitAge(edited, options.maxAge);
  if (options.first !== undefined || options.last !== undefined)
    edited = computeEnds(edited, { first: options.first, last: options.last });
  for (const each of options.pin ?? []) edited = pin(edited, each);
  for (const each of options.forbid ?? []) edited = forbid(edited, each);
  return edited;
}

function cells(text: string, before: readonly Cells[] = []): Cells[] {
  const colon = text.lastIndexOf(":");
  if (colon < 1)
    throw new InvalidArgumentError(`expected a pattern and evaluations such as mid_block.**:3,4, found "${text}".`);
  return [...before, { blocks: text.slice(0, colon), evaluations: integerList(text.slice(colon + 1)) }];
}
