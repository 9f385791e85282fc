/** Checks and copies what should be a schedule: schedules come from files and from users' functions. */
import { z } from "zod";
import { ArgumentError } from "../../errors.js";
import { schemaProblem } from "../../files/schemaProblem.js";
import type { SchemaProblem } from "../../files/schemaProblem.js";
import type { Profile } from "../../instrument/profile/profile.js";
import type { Schedule } from "./schedule.js";

export const FORMAT = "blockcache-schedule";

/** The parts of a schedule. */
export const scheduleFields = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  model: z.object({ fingerprint: z.string(), name: z.string() }),
  solver: z.string(),
  solver_config: z.record(z.string(), z.unknown()).optional(),
  num_inference_steps: z.number().int().positive(),
  timesteps: z.array(z.number()).min(1),
  guidance_scale: z.number(),
  profile: z
    .object({ digest: z.string(), trajectories: z.number().int().positive(), name: z.string().optional() })
    .optional(),
  heuristic: z.looseObject({ name: z.string() }),
  edits: z.array(z.looseObject({ edit: z.string() })).optional(),
  blocks: z.record(z.string(), z.array(z.number().int().nonnegative())),
});

/** The form of a schedule; {@link scheduleProblem} also checks that its evaluations are ordered and within range. */
export const scheduleSchema = z.record(z.string(), z.unknown()).pipe(scheduleFields);

/**
 * A schedule from what should be one: checked, and a copy that shares nothing with it.
 *
 * @param where it comes from, for the message
 * @throws ArgumentError where it breaks a rule, or what it says of its heuristic and edits is not plain data
 */
export function checkSchedule(given: unknown, where = "schedule"): Schedule {
  const problem = scheduleProblem(given);
  if (problem !== undefined) throw problemAt(where, problem);
  const { heuristic, edits, blocks, ...rest } = scheduleSchema.parse(given);
  return structuredClone({
    ...rest,
    heuristic: plainRecord(heuristic, `${where}: heuristic`),
    ...(edits === undefined ? {} : { edits: edits.map((edit) => plainRecord(edit, `${where}: edits`)) }),
    blocks,
  });
}

/** Throws ArgumentError where a schedule names a block that the profile does not have. */
export function requireBlocksOf(profile: Profile, { blocks }: Schedule, where = "schedule"): void {
  const known = new Set(profile.blocks.map(({ id }) => id));
  const unknown = Object.keys(blocks).find((id) => !known.has(id));
  if (unknown === undefined) return;
  throw problemAt(where, {
    field: "blocks",
    expected: `blocks of the profile (${profile.blocks
      .slice(0, 3)
      .map(({ id }) => id)
      .join(", ")} …; \`blockcache inspect\` lists all)`,
    found: JSON.stringify(unknown),
  });
}

function problemAt(where: string, { field, expected, found }: SchemaProblem): ArgumentError {
  return new ArgumentError(
    `${[where, ...(field === undefined ? [] : [field])].join(": ")}: expected ${expected}, found ${found}`,
  );
}

/**
 * The record as JSON has it: what a file could not hold (functions) is left out. Throws ArgumentError where JSON cannot
 * hold it at all.
 */
function plainRecord<Kept extends object>(record: Kept, where: string): Kept {
  try {
    return JSON.parse(JSON.stringify(record)) as Kept;
  } catch (error) {
    throw problemAt(where, {
      expected: "plain data, as JSON has it",
      found: error instanceof Error ? error.message.split("\n")[0] : String(error),
    });
  }
}

/** The first rule that is broken by what should be a schedule. */
export function scheduleProblem(given: unknown): SchemaProblem | undefined {
  const parsed = scheduleSchema.safeParse(given);
  if (!parsed.success) return schemaProblem(parsed.error, given);
  const { blocks, timesteps } = parsed.data;
  for (const [id, evaluations] of Object.entries(blocks)) {
    const field = `blocks.${id}`;
    if (evaluations[0] !== 0)
      return {
        field,
        found: `[${evaluations.join(", ")}]`,
        expected: "a list that starts with 0: the first evaluation computes everything",
      };
    const unsorted = evaluations.findIndex((evaluation, index) => index > 0 && evaluation <= evaluations[index - 1]);
    if (unsorted !== -1)
      return {
        field,
        found: `${evaluations[unsorted]} after ${evaluations[unsorted - 1]}`,
        expected: "evaluations in ascending order, each once",
      };
    const last = evaluations[evaluations.length - 1];
    if (last >= timesteps.length)
      return {
        field,
        found: String(last),
        expected: `evaluations from 0 to ${timesteps.length - 1}, one for each of timesteps`,
      };
  }
  return undefined;
}
