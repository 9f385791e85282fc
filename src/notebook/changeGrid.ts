import { cividis } from "../live/cividis.js";
import { pixelGrid } from "./pixelGrid.js";

/** Change of each block so far: one row for each block, one column for each step. */
export interface ChangeGrid {
  set(id: string, step: number, change: number): void;
  html(): string;
}

/** The largest change that the colours tell apart: what the embedded model's liveliest blocks reach. */
const FULL_SCALE = 0.6;

/** A small heat map; dark is little change, yellow much. */
export function changeGrid(ids: readonly string[], steps: number): ChangeGrid {
  const grid = pixelGrid(ids, steps);
  return {
    set(id, step, change) {
      // The first step has nothing to compare with.
      if (step > 0) grid.set(id, step, cividis(Math.min(1, change / FULL_SCALE)));
    },
    html: () =>
      grid.html(
        "change of each block at each step",
        `change of C, 0 (dark) to ${FULL_SCALE} (yellow), step 1 to ${steps} →`,
      ),
  };
}
