import { pixelGrid } from "./pixelGrid.js";
import type { Colour } from "./pixelGrid.js";

/** Change of each block so far: one row a block, one column a step. */
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
      if (step > 0) grid.set(id, step, colourOf(Math.min(1, change / FULL_SCALE)));
    },
    html: () =>
      grid.html(
        "change of each block at each step",
        `change of C, 0 (dark) to ${FULL_SCALE} (yellow), step 1 to ${steps} →`,
      ),
  };
}

/** Stops of the cividis colour map, which colour-blind readers see alike (Nuñez et al. 2018). */
const STOPS = [
  [0, 34, 78],
  [65, 77, 107],
  [124, 123, 120],
  [188, 175, 111],
  [254, 232, 56],
] as const;

function colourOf(fraction: number): Colour {
  const position = fraction * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(position));
  const rest = position - index;
  const mix = (channel: 0 | 1 | 2): number =>
    Math.round(STOPS[index][channel] * (1 - rest) + STOPS[index + 1][channel] * rest);
  return [mix(0), mix(1), mix(2)];
}
