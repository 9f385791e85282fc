/** Schedules on disk: JSON, and tables for spreadsheets. */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { readJson, validate, writeJson } from "../../files/json.js";
import { FORMAT, computesAt, faultOf } from "./schedule.js";
import type { Schedule } from "./schedule.js";

const step = z.number().int().nonnegative();

export const scheduleSchema = z.object({
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
  blocks: z.record(z.string(), z.array(step)),
});

/** @throws InvalidFileError where the file is missing, no schedule, or breaks a rule */
export async function loadSchedule(path: string): Promise<Schedule> {
  const schedule = validate(scheduleSchema, await readJson(path), {
    file: path,
    hint: "it must be a schedule as `blockcache schedule` writes it",
  });
  const fault = faultOf(schedule);
  if (fault !== undefined) throw new InvalidFileError({ file: path, ...fault });
  return schedule;
}

/** Writes a schedule; the file is replaced in one go. */
export async function saveSchedule(path: string, schedule: Schedule): Promise<void> {
  await writeJson(path, schedule);
}

/** Comma-separated, a line a block and a column an evaluation: 1 computes, 0 reuses. */
export function scheduleCsv(schedule: Schedule): string {
  const evaluations = [...schedule.timesteps.keys()];
  const rows = Object.keys(schedule.blocks).map((id) =>
    [id, ...evaluations.map((evaluation) => (computesAt(schedule, id, evaluation) ? 1 : 0))].join(","),
  );
  return `${[["block", ...evaluations].join(","), ...rows].join("\n")}\n`;
}
