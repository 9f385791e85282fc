/** Cells of a schedule as painted by hand: any block of the network, also one that no heuristic chose. */
import { ArgumentError } from "../../errors.js";
import { checkSchedule } from "./checkSchedule.js";
import type { Schedule } from "./schedule.js";

/** What a block is told to do at an evaluation. */
export type CellMark = "compute" | "reuse";

/** block id → 0-based network evaluation → what the block does there, whatever a heuristic says */
export type PaintedCells = Readonly<Record<string, Readonly<Record<number, CellMark>>>>;

/**
 * The schedule with these cells as painted. A block that the schedule does not name computes at all other evaluations.
 *
 * @throws ArgumentError where the schedule has no such evaluation, or the first one is painted to reuse
 */
export function paint(schedule: Schedule, cells: PaintedCells): Schedule {
  const evaluations = [...schedule.timesteps.keys()];
  const painted = Object.entries(cells).map(([id, marks]): [string, readonly number[]] => {
    for (const [evaluation, mark] of Object.entries(marks)) {
      if (!(Number(evaluation) in schedule.timesteps) || (mark === "reuse" && Number(evaluation) === 0))
        throw new ArgumentError(
          `cells: ${id}: expected evaluations from ${mark === "reuse" ? 1 : 0} to ${evaluations.length - 1}, found ${evaluation}`,
        );
    }
    const computed = new Set(schedule.blocks[id] ?? evaluations);
    return [
      id,
      evaluations.filter((evaluation) => {
        const mark = marks[evaluation];
        return mark === undefined ? computed.has(evaluation) : mark === "compute";
      }),
    ];
  });
  if (painted.length === 0) return schedule;
  return checkSchedule({
    ...schedule,
    edits: [...(schedule.edits ?? []), { edit: "paint", cells }],
    blocks: { ...schedule.blocks, ...Object.fromEntries(painted) },
  });
}
