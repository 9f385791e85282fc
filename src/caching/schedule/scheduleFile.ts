/** Schedules on disk: JSON, and tables for spreadsheets. */
import { InvalidFileError } from "../../errors.js";
import { readJson, writeJson } from "../../files/json.js";
import { checkSchedule, scheduleProblem } from "./checkSchedule.js";
import { computesAt } from "./schedule.js";
import type { Schedule } from "./schedule.js";

/** @throws InvalidFileError where the file is missing, is not a schedule, or breaks a rule */
export async function loadSchedule(path: string): Promise<Schedule> {
  const found = await readJson(path);
  const problem = scheduleProblem(found);
  if (problem !== undefined)
    throw new InvalidFileError({
      file: path,
      ...problem,
      hint: "it must be a schedule as `blockcache schedule` writes it",
    });
  return checkSchedule(found);
}

/** Writes a schedule; the file is replaced in one go. Throws ArgumentError for one that `loadSchedule` would refuse. */
export async function saveSchedule(path: string, schedule: Schedule): Promise<void> {
  await writeJson(path, checkSchedule(schedule));
}

/** Comma-separated, one line per block and one column per evaluation: 1 computes, 0 reuses. */
export function scheduleCsv(schedule: Schedule): string {
  const evaluations = [...schedule.timesteps.keys()];
  const rows = Object.keys(schedule.blocks).map((id) =>
    [id, ...evaluations.map((evaluation) => (computesAt(schedule, id, evaluation) ? 1 : 0))].join(","),
  );
  return `${[["block", ...evaluations].join(","), ...rows].join("\n")}\n`;
}
