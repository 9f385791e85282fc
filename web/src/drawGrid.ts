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
  /** rows whose names stand out */
  readonly marked: (row: number) => boolean;
}

/** What a canvas shows, as texts and numbers that are equal where the drawing is: only what differs is drawn anew. */
interface OnCanvas {
  readonly layout: string;
  head: string;
  readonly names: string[];
  readonly cells: number[];
}

const onCanvas = new WeakMap<HTMLCanvasElement, OnCanvas>();

export function drawGrid(canvas: HTMLCanvasElement, drawn: DrawnGrid): void {
  const { blocks, schedule, other } = drawn;
  const columns = schedule.timesteps.length;
  const places = gridPlaces(drawn.width, blocks, columns, other !== undefined);
  const colours = ink();
  const context = canvas.getContext("2d");
  if (context === null) return;
  const layout = JSON.stringify([places, colours.paper, window.devicePixelRatio, blocks.map(({ id }) => id)]);
  let before = onCanvas.get(canvas);
  if (before?.layout !== layout) {
    prepare(canvas, context, places);
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, places.width, places.height);
    before = { layout, head: "", names: [], cells: [] };
    onCanvas.set(canvas, before);
  }
  context.font = FONT;
  context.textBaseline = "middle";

  const first = computingCells(schedule, blocks);
  const second = other && computingCells(other, blocks);
  const done = drawn.lit.map(({ computed, reused }) => ({ computed: new Set(computed), reused: new Set(reused) }));
  const computing = drawn.computing ? done.length - 1 : undefined;
  const head = `${other === undefined} ${computing}`;
  if (head !== before.head) {
    before.head = head;
    context.fillStyle = colours.paper;
    context.fillRect(0, 0, places.width, HEAD_HEIGHT);
    drawHead(context, places, places.left, other === undefined ? "" : "A", computing);
    if (other !== undefined) drawHead(context, places, places.secondLeft, "B", undefined);
  }

  const { names, cells } = before;
  blocks.forEach(({ id }, row) => {
    const y = HEAD_HEIGHT + row * ROW_HEIGHT;
    const name = drawn.marked(row) ? colours.text : colours.faint;
    if (name !== names[row]) {
      names[row] = name;
      context.fillStyle = colours.paper;
      context.fillRect(0, y, places.left, ROW_HEIGHT);
      context.fillStyle = name;
      context.textAlign = "right";
      context.fillText(id, places.left - 6, y + ROW_HEIGHT / 2 + 0.5, LABEL_WIDTH - 8);
    }
    const painted = drawn.cells[id];
    for (let column = 0; column < columns; column++) {
      const look: CellLook = {
        computes: first[row][column],
        ran: done[column]?.computed.has(id) ? "computed" : done[column]?.reused.has(id) ? "reused" : undefined,
        isPainted: painted?.[column] !== undefined,
        other: second?.[row][column],
      };
      const code = codeOf(look);
      const index = row * columns + column;
      if (code === cells[index]) continue;
      cells[index] = code;
      drawCell(context, places, column, y, look);
    }
  });
}

interface CellLook {
  readonly computes: boolean;
  /** what the run did */
  readonly ran: "computed" | "reused" | undefined;
  readonly isPainted: boolean;
  /** whether it computes in the second schedule, where there is one */
  readonly other: boolean | undefined;
}

/** Different for each look. */
function codeOf({ computes, ran, isPainted, other }: CellLook): number {
  return (
    (computes ? 1 : 0) +
    2 * (isPainted ? 1 : 0) +
    4 * (ran === undefined ? 0 : ran === "computed" ? 1 : 2) +
    12 * (other === undefined ? 0 : other ? 1 : 2)
  );
}

/** A cell, and the second schedule's. */
function drawCell(
  context: CanvasRenderingContext2D,
  { cellWidth, left, secondLeft }: GridPlaces,
  column: number,
  y: number,
  { computes, ran, isPainted, other }: CellLook,
): void {
  const colours = ink();
  const x = left + column * cellWidth;
  const secondX = secondLeft + column * cellWidth;
  fillCell(context, x, y, cellWidth, computes, colours[ran ?? (computes ? "compute" : "reuse")]);
  if (isPainted) {
    context.fillStyle = colours.text;
    context.fillRect(x + cellWidth / 2 - 1.5, y + ROW_HEIGHT / 2 - 1.5, 3, 3);
  }
  if (other === undefined) return;
  fillCell(context, secondX, y, cellWidth, other, colours[other ? "compute" : "reuse"]);
  if (other === computes) return;
  context.strokeStyle = colours.differs;
  context.lineWidth = 1.5;
  for (const from of [x, secondX]) context.strokeRect(from + 1, y + 1, cellWidth - 2, ROW_HEIGHT - 2);
}

/** Gives a canvas a size in CSS pixels, sharp on every screen. */
function prepare(canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, { width, height }: GridPlaces): void {
  const ratio = window.devicePixelRatio;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
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

function fillCell(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  computes: boolean,
  colour: string,
): void {
  context.fillStyle = ink().paper;
  context.fillRect(x, y, width, ROW_HEIGHT);
  context.fillStyle = colour;
  if (computes) context.fillRect(x + 0.5, y + 1, width - 1, ROW_HEIGHT - 2);
  else context.fillRect(x + 0.5, y + ROW_HEIGHT / 2 - 1.5, width - 1, 3);
}

function drawHead(
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

/** Where a cell, a row or a column of the first schedule lies, as CSS has it. */
export function boxOf(
  { rows, columns, cellWidth, left }: GridPlaces,
  { row, column }: Cell,
): { left: string; top: string; width: string; height: string } {
  return {
    left: `${column === undefined ? left : left + column * cellWidth}px`,
    top: `${row === undefined ? HEAD_HEIGHT : HEAD_HEIGHT + row * ROW_HEIGHT}px`,
    width: `${(column === undefined ? columns : 1) * cellWidth}px`,
    height: `${(row === undefined ? rows : 1) * ROW_HEIGHT}px`,
  };
}
