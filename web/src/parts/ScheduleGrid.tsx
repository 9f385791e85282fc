import { effect, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { computesAt } from "blockcache/planning";
import type { CellMark } from "blockcache/planning";
import { HEAD_HEIGHT, ROW_HEIGHT, boxOf, drawGrid, gridPlaces, placeAt } from "../drawGrid.js";
import type { Cell } from "../drawGrid.js";
import { comparison, edit, fits, hoveredBlock, model, newStroke, other, plan, schedule } from "../store.js";

export type Brush = CellMark | "clear" | "toggle";

export const GRID_KEYS =
  "Drag to paint; a name paints its row, a number its column. Keys: arrows, Space toggles, C computes, R reuses, Backspace gives back, Shift for the row, Alt for the column.";

/** Block × evaluation, drawn on a canvas; the cell under the keyboard is there for screen readers too. */
export function ScheduleGrid({ brush }: { readonly brush: Brush }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const active = useSignal<Cell>({ row: 0, column: 0 });
  const focused = useSignal(false);
  const pointed = useSignal<Cell | undefined>(undefined);
  const stroke = useRef<{ readonly name: string; readonly mark: CellMark | "clear"; last: string } | undefined>(
    undefined,
  );
  const width = useSignal(400);

  useEffect(() => {
    const frame = canvas.current?.closest(".gridframe");
    if (frame === null || frame === undefined) return;
    const observer = new ResizeObserver(() => (width.value = frame.clientWidth));
    observer.observe(frame);
    const stop = effect(() => {
      const found = schedule.value;
      if (canvas.current === null || found === undefined) return;
      const kept = other.value;
      const run = comparison.value;
      drawGrid(canvas.current, {
        width: width.value,
        blocks: model.value?.blocks ?? [],
        schedule: found,
        other: kept !== undefined && fits(kept.schedule) ? kept.schedule : undefined,
        cells: plan.value?.cells ?? {},
        lit: run === undefined || run.stale ? [] : run.lit,
        computing: run?.state === "computing" && !run.stale,
        marked: markedRows(hoveredBlock.value, (pointed.value ?? (focused.value ? active.value : undefined))?.row),
      });
    });
    return () => {
      observer.disconnect();
      stop();
    };
  }, []);

  const found = schedule.value;
  const blocks = model.value?.blocks ?? [];
  if (found === undefined) return null;
  const evaluations = found.timesteps.length;
  const hasOther = other.value !== undefined && fits(other.value.schedule);
  const at = (event: PointerEvent): Cell | undefined => {
    const box = canvas.current?.getBoundingClientRect();
    if (box === undefined) return undefined;
    const places = gridPlaces(width.value, blocks, evaluations, hasOther);
    return placeAt(places, event.clientX - box.left, event.clientY - box.top);
  };
  /** A cell, or with no column its row, with no row its column. */
  const paint = ({ row, column }: Cell, mark: CellMark | "clear", name: string): void => {
    edit(
      {
        kind: "paint",
        mark,
        blocks: row === undefined ? blocks.map(({ id }) => id) : [blocks[row].id],
        evaluations: column === undefined ? [...found.timesteps.keys()] : [column],
      },
      name,
    );
  };
  const markFor = ({ row, column }: Cell, with_: Brush): CellMark | "clear" => {
    if (with_ !== "toggle") return with_;
    const ids = row === undefined ? blocks.map(({ id }) => id) : [blocks[row].id];
    const columns = column === undefined ? [...found.timesteps.keys()].slice(1) : [column];
    return ids.every((id) => columns.every((each) => computesAt(found, id, each))) ? "reuse" : "compute";
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const { row = 0, column = 0 } = active.value;
    const target: Cell = event.shiftKey ? { row } : event.altKey ? { column } : { row, column };
    const mark = { " ": "toggle", Enter: "toggle", c: "compute", r: "reuse", Backspace: "clear", Delete: "clear" }[
      event.key.length === 1 ? event.key.toLowerCase() : event.key
    ] as Brush | undefined;
    const move = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, evaluations - 1],
      PageUp: [0, column],
      PageDown: [blocks.length - 1, column],
    }[event.key];
    if (event.ctrlKey || event.metaKey || (mark === undefined && move === undefined)) return;
    event.preventDefault();
    if (mark !== undefined) paint(target, markFor(target, mark), newStroke());
    if (move === undefined) return;
    pointed.value = undefined;
    active.value = {
      row: Math.min(blocks.length - 1, Math.max(0, move[0])),
      column: Math.min(evaluations - 1, Math.max(0, move[1])),
    };
    scrollTo(canvas.current, active.value.row ?? 0);
  };
  const told = pointed.value ?? (focused.value ? active.value : undefined);
  const { row = 0, column = 0 } = active.value;
  return (
    <>
      <div class="gridframe">
        <div
          class="grid"
          role="grid"
          tabIndex={0}
          aria-label="schedule: blocks by network evaluations"
          aria-rowcount={blocks.length}
          aria-colcount={evaluations}
          aria-activedescendant="active-cell"
          onKeyDown={onKeyDown}
          onFocus={() => (focused.value = true)}
          onBlur={() => (focused.value = false)}
        >
          <canvas
            ref={canvas}
            aria-hidden="true"
            onPointerDown={(event) => {
              const cell = at(event);
              if (cell === undefined || event.button !== 0) return;
              event.currentTarget.setPointerCapture(event.pointerId);
              active.value = { row: cell.row ?? 0, column: cell.column ?? 0 };
              stroke.current = { name: newStroke(), mark: markFor(cell, brush), last: JSON.stringify(cell) };
              paint(cell, stroke.current.mark, stroke.current.name);
            }}
            onPointerMove={(event) => {
              const cell = at(event);
              pointed.value = cell;
              hoveredBlock.value = cell?.row === undefined ? undefined : blocks[cell.row].id;
              const drawing = stroke.current;
              const key = JSON.stringify(cell);
              if (cell === undefined || drawing === undefined || key === drawing.last) return;
              drawing.last = key;
              paint(cell, drawing.mark, drawing.name);
            }}
            onPointerUp={() => (stroke.current = undefined)}
            onPointerCancel={() => (stroke.current = undefined)}
            onPointerLeave={() => ([pointed.value, hoveredBlock.value] = [undefined, undefined])}
          />
          {told !== undefined && (
            <div
              class="outline"
              aria-hidden="true"
              style={boxOf(gridPlaces(width.value, blocks, evaluations, hasOther), told)}
            />
          )}
          <div role="row" aria-rowindex={row + 1} class="unseen">
            <span role="gridcell" id="active-cell" aria-colindex={column + 1}>
              {blocks[row] === undefined ? "" : describe({ row, column })}
            </span>
          </div>
        </div>
      </div>
      <p class="told">{told === undefined ? "\u00a0" : describe(told)}</p>
    </>
  );

  function describe({ row: at_, column: evaluation }: Cell): string {
    if (found === undefined) return "";
    if (at_ === undefined) return `evaluation ${evaluation}, timestep ${found.timesteps[evaluation ?? 0]}: every block`;
    const { id } = blocks[at_];
    if (evaluation === undefined) return `${id}: all evaluations`;
    const does = computesAt(found, id, evaluation) ? "computes" : "reuses";
    const painted = plan.value?.cells[id]?.[evaluation] === undefined ? "" : ", painted";
    const never = id in found.blocks ? "" : ", always";
    const kept = other.value;
    const differs =
      kept !== undefined &&
      fits(kept.schedule) &&
      computesAt(kept.schedule, id, evaluation) !== computesAt(found, id, evaluation)
        ? "; differs in B"
        : "";
    return `${id}, evaluation ${evaluation}, timestep ${found.timesteps[evaluation]}: ${does}${never}${painted}${differs}`;
  }
}

/** Which names stand out: that of the block under the pointer anywhere, and that of the row that is told. */
function markedRows(hovered: string | undefined, told: number | undefined): (row: number) => boolean {
  const at = hovered === undefined ? -1 : (model.value?.blocks.findIndex(({ id }) => id === hovered) ?? -1);
  return (row) => row === told || row === at;
}

function scrollTo(canvas: HTMLCanvasElement | null, row: number): void {
  const frame = canvas?.closest(".gridframe");
  if (frame === null || frame === undefined) return;
  const { top, bottom } = rowSpan(row);
  if (top < frame.scrollTop) frame.scrollTop = top;
  else if (bottom > frame.scrollTop + frame.clientHeight) frame.scrollTop = bottom - frame.clientHeight;
}

function rowSpan(row: number): { top: number; bottom: number } {
  return { top: row * ROW_HEIGHT, bottom: HEAD_HEIGHT + (row + 1) * ROW_HEIGHT };
}
