/** Draws schedules: filled cells compute, narrow bars reuse; pale is planned, full is done in the run. */
import type { PaintedCells, Schedule } from "blockcache/planning";
import type { BlockMapEntry } from "../../src/instrument/blockMap.js";
import type { Lit } from "../../src/live/document.js";
import { ink } from "./colours.js";

export const [HEAD_HEIGHT, ROW_HEIGHT] = [18, 13];
const [LABEL_WIDTH, LEAST_CELL, MOST_CELL, BETWEEN] = [158, 5, 22, 14];
const FONT = "10px Arimo, Arial, sans-serif";

/** A cell; without a column a row's name, without a row a column's number. */
export interface Cell {
  readonly row?: number;
  readonly column?: number;
}

export interface GridPlaces {
  readonly rows: number;
  readonly columns: number;
  readonly cellWidth: number;
  readonly left: number;
  /** where the second schedule's cells begin */
  readonly secondLeft: number;
  readonly width: number;
  readonly height: number;
}

export function gridPlaces(width: number, blocks: readonly unknown[], columns: number, hasOther: boolean): GridPlaces {
  const room = width - LABEL_WIDTH - (hasOther ? BETWEEN : 0) - 2;
  const cellWidth = Math.min(MOST_CELL, Math.max(LEAST_CELL, Math.floor(room / columns / (hasOther ? 2 : 1))));
  const secondLeft = LABEL_WIDTH + columns * cellWidth + BETWEEN;
  return {
    rows: blocks.length,
    columns,
    cellWidth,
    left: LABEL_WIDTH,
    secondLeft,
    width: (hasOther ? secondLeft : LABEL_WIDTH) + columns * cellWidth + 2,
    height: HEAD_HEIGHT + blocks.length * ROW_HEIGHT + 2,
  };
}

/** What lies at a point of the first schedule; nothing beyond it. */
export function placeAt({ rows, columns, cellWidth, left }: GridPlaces, x: number, y: number): Cell | undefined {
  const row = Math.floor((y - HEAD_HEIGHT) / ROW_HEIGHT);
  const column = Math.floor((x - left) / cellWidth);
  if (row >= rows || column >= columns || (row < 0 && column < 0)) return undefined;
  return { row: row < 0 ? undefined : row, column: column < 0 ? undefined : column };
}

export interface DrawnGrid {
  readonly width: number;
  readonly blocks: readonly BlockMapEntry[];
  readonly schedule: Schedule;
  readonly other?: Schedule;
  readonly cells: PaintedCells;
  readonly lit: readonly Lit[];
  readonly computing: boolean;
  readonly active?: Cell;
  readonly hoveredBlock?: string;
}

export function drawGrid(canvas: HTMLCanvasElement, drawn: DrawnGrid): void {
  const { blocks, schedule, other, active } = drawn;
  const columns = schedule.timesteps.length;
  const places = gridPlaces(drawn.width, blocks, columns, other !== undefined);
  const colours = ink();
  const context = prepared(canvas, places.width, places.height);
  if (context === null) return;
  context.fillStyle = colours.paper;
  context.fillRect(0, 0, places.width, places.height);
  context.font = FONT;
  context.textBaseline = "middle";

  const first = computingCells(schedule, blocks);
  const second = other && computingCells(other, blocks);
  const done = drawn.lit.map(({ computed, reused }) => ({ computed: new Set(computed), reused: new Set(reused) }));
  head(context, places, places.left, other === undefined ? "" : "A", drawn.computing ? done.length - 1 : undefined);
  if (second !== undefined) head(context, places, places.secondLeft, "B", undefined);

  blocks.forEach(({ id }, row) => {
    const y = HEAD_HEIGHT + row * ROW_HEIGHT;
    const isMarked = id === drawn.hoveredBlock || active?.row === row;
    context.fillStyle = isMarked ? colours.text : colours.faint;
    context.textAlign = "right";
    context.fillText(id, places.left - 6, y + ROW_HEIGHT / 2 + 0.5, LABEL_WIDTH - 8);
    const marks = drawn.cells[id];
    for (let column = 0; column < columns; column++) {
      const x = places.left + column * places.cellWidth;
      const computes = first[row][column];
      const ran = done[column]?.computed.has(id) ? "computed" : done[column]?.reused.has(id) ? "reused" : undefined;
      cell(context, x, y, places.cellWidth, computes, colours[ran ?? (computes ? "compute" : "reuse")]);
      if (marks?.[column] !== undefined) {
        context.fillStyle = colours.text;
        context.fillRect(x + places.cellWidth / 2 - 1.5, y + ROW_HEIGHT / 2 - 1.5, 3, 3);
      }
      if (second === undefined) continue;
      const secondX = places.secondLeft + column * places.cellWidth;
      cell(
        context,
        secondX,
        y,
        places.cellWidth,
        second[row][column],
        colours[second[row][column] ? "compute" : "reuse"],
      );
      if (second[row][column] === computes) continue;
      context.strokeStyle = colours.differs;
      context.lineWidth = 1.5;
      for (const from of [x, secondX]) context.strokeRect(from + 1, y + 1, places.cellWidth - 2, ROW_HEIGHT - 2);
    }
  });
  if (active !== undefined) outline(context, places, active, colours.focus);
}

/** A canvas of a size in CSS pixels, sharp on every screen. */
function prepared(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D | null {
  const ratio = window.devicePixelRatio;
  const [pixelWidth, pixelHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
    [canvas.width, canvas.height] = [pixelWidth, pixelHeight];
    [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** [blocks][evaluations]: a lookup for each cell would search its list each time. */
function computingCells({ blocks: lists, timesteps }: Schedule, blocks: readonly BlockMapEntry[]): boolean[][] {
  return blocks.map(({ id }) => {
    const list = lists[id];
    const computes = Array<boolean>(timesteps.length).fill(list === undefined);
    for (const evaluation of list ?? []) computes[evaluation] = true;
    return computes;
  });
}

function cell(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  computes: boolean,
  colour: string,
): void {
  context.fillStyle = colour;
  if (computes) context.fillRect(x + 0.5, y + 1, width - 1, ROW_HEIGHT - 2);
  else context.fillRect(x + 0.5, y + ROW_HEIGHT / 2 - 1.5, width - 1, 3);
}

function head(
  context: CanvasRenderingContext2D,
  { columns, cellWidth }: GridPlaces,
  left: number,
  name: string,
  computing: number | undefined,
): void {
  const colours = ink();
  const every = cellWidth >= 14 ? 1 : cellWidth >= 8 ? 2 : 5;
  context.textAlign = "center";
  for (let column = 0; column < columns; column++) {
    const x = left + column * cellWidth;
    if (column === computing) {
      context.fillStyle = colours.computed;
      context.fillRect(x, HEAD_HEIGHT - 3, cellWidth, 2);
    }
    context.fillStyle = column === computing ? colours.text : colours.faint;
    if (column % every === 0) context.fillText(String(column), x + cellWidth / 2, HEAD_HEIGHT / 2 - 1);
  }
  context.textAlign = "right";
  context.fillStyle = colours.text;
  if (name !== "") context.fillText(name, left - 4, HEAD_HEIGHT / 2 - 1);
}

function outline(
  context: CanvasRenderingContext2D,
  { rows, columns, cellWidth, left }: GridPlaces,
  { row, column }: Cell,
  colour: string,
): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  const x = column === undefined ? left : left + column * cellWidth;
  const y = row === undefined ? HEAD_HEIGHT : HEAD_HEIGHT + row * ROW_HEIGHT;
  context.strokeRect(
    x + 0.5,
    y + 0.5,
    (column === undefined ? columns : 1) * cellWidth - 1,
    (row === undefined ? rows : 1) * ROW_HEIGHT - 1,
  );
}
