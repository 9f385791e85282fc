import { bitmapUri } from "../live/bitmap.js";
import type { Colour } from "../live/cividis.js";
import { escapeHtml } from "./show/escapeHtml.js";

/** A row a block, a column a step: a picture that costs microseconds to draw. */
export interface PixelGrid {
  set(id: string, step: number, colour: Colour): void;
  /** @param caption HTML below the grid */
  html(description: string, caption: string): string;
}

/** Pixels of one cell, wide and high; narrower where there are many steps. */
const CELL = 12;
const WIDEST = 600;
const EMPTY = 0xee;

export function pixelGrid(ids: readonly string[], steps: number): PixelGrid {
  const rows = new Map(ids.map((id, row) => [id, row]));
  const rgb = new Uint8Array(3 * ids.length * steps).fill(EMPTY);
  const labels = ids.map((id) => `<div style="height:${CELL}px">${escapeHtml(id)}</div>`).join("");
  return {
    set(id, step, colour) {
      const row = rows.get(id);
      if (row !== undefined) rgb.set(colour, 3 * (row * steps + step));
    },
    html(description, caption) {
      const uri = bitmapUri({ width: steps, height: ids.length, rgb });
      const size = `width:${Math.min(WIDEST, steps * CELL)}px;height:${ids.length * CELL}px`;
      return `<div style="display:flex;gap:6px;font:10px/12px monospace"><div>${labels}</div><div><img alt="${escapeHtml(description)}" src="${uri}" style="${size};image-rendering:pixelated;max-width:none"><div>${caption}</div></div></div>`;
    },
  };
}
