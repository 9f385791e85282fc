import { encodePng } from "../diffusion/image.js";
import { escapeHtml } from "./show.js";

/** Change of each block so far: one row a block, one column a step. */
export interface ChangeGrid {
  set(id: string, step: number, change: number): void;
  html(): Promise<string>;
}

/** Pixels of one cell, wide and high; narrower where there are many steps. */
const CELL = 12;
const WIDEST = 600;
/** The largest change that the colours tell apart: what the embedded model's liveliest blocks reach. */
const FULL_SCALE = 0.4;

/** A small heat map that costs a millisecond to draw; dark is little change, yellow much. */
export function changeGrid(ids: readonly string[], steps: number): ChangeGrid {
  const rows = new Map(ids.map((id, row) => [id, row]));
  const rgb = new Uint8Array(3 * ids.length * steps).fill(0xee);
  return {
    set(id, step, change) {
      const row = rows.get(id);
      if (row === undefined || step === 0) return;
      rgb.set(colourOf(Math.min(1, change / FULL_SCALE)), 3 * (row * steps + step));
    },
    async html() {
      const png = (await encodePng({ width: steps, height: ids.length, rgb })).toString("base64");
      const size = `width:${Math.min(WIDEST, steps * CELL)}px;height:${ids.length * CELL}px`;
      const labels = ids.map((id) => `<div style="height:${CELL}px">${escapeHtml(id)}</div>`).join("");
      return `<div style="display:flex;gap:6px;font:10px/12px monospace"><div>${labels}</div><div><img alt="change of each block at each step" src="data:image/png;base64,${png}" style="${size};image-rendering:pixelated;max-width:none"><div>change of C, 0 (dark) to ${FULL_SCALE} (yellow), step 1 to ${steps} →</div></div></div>`;
    },
  };
}

/** Stops of the cividis colour map, which colour-blind readers see alike (Nuñez et al. 2018). */
const STOPS = [[0, 34, 78], [65, 77, 107], [124, 123, 120], [188, 175, 111], [254, 232, 56]] as const;

function colourOf(fraction: number): [number, number, number] {
  const position = fraction * (STOPS.length - 1);
  const index = Math.min(STOPS.length - 2, Math.floor(position));
  const rest = position - index;
  const mix = (channel: 0 | 1 | 2): number => Math.round(STOPS[index][channel] * (1 - rest) + STOPS[index + 1][channel] * rest);
  return [mix(0), mix(1), mix(2)];
}
