import type { CachedRun } from "../../caching/run/cachedRun.js";
import { computedShare, computesAt } from "../../caching/schedule/schedule.js";
import type { Schedule } from "../../caching/schedule/schedule.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { CATEGORICAL_COLOURS, NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ScheduleChartOptions {
  /** what a run by this schedule did; marked where it differs from the plan */
  readonly executed?: Pick<CachedRun, "computedAt" | "reusedAt">;
  readonly title?: string;
  readonly theme?: Theme;
}

interface Cell {
  readonly id: string;
  readonly evaluation: number;
}

const ROW_HEIGHT = 20;
const [COMPUTED, REUSED, , UNPLANNED] = CATEGORICAL_COLOURS;

/**
 * The paper's Figure 4: one row per block in execution order, a dot where it computes, an arrow for as long as its
 * cache lives. With `executed`, it also marks where the run differed: where the block did not run at all, because
 * nothing would have read its result (liveness), and where it did the opposite of the plan, which would be a fault.
 */
export function scheduleChart(
  schedule: Schedule,
  { executed, title, theme = "light" }: ScheduleChartOptions = {},
): PlotlyFigure {
  const ids = Object.keys(schedule.blocks);
  const end = schedule.timesteps.length;
  const cells = ids.flatMap((id) => [...schedule.timesteps.keys()].map((evaluation): Cell => ({ id, evaluation })));
  const planned = ({ id, evaluation }: Cell): boolean => computesAt(schedule, id, evaluation);
  const did = (record: ReadonlyMap<string, readonly number[]> | undefined, { id, evaluation }: Cell): boolean =>
    record?.get(id)?.includes(evaluation) ?? false;
  const unread =
    executed === undefined
      ? []
      : cells.filter((cell) => !did(executed.computedAt, cell) && !did(executed.reusedAt, cell));
  const unplanned = cells.filter((cell) => did(planned(cell) ? executed?.reusedAt : executed?.computedAt, cell));

  const data: PlotlyObject[] = [
    arrows(schedule, ids, end),
    points(
      "computes",
      "computes",
      cells.filter(planned).filter((cell) => !unread.includes(cell)),
      schedule,
      { color: COMPUTED, size: 8 },
    ),
  ];
  if (unread.length > 0) {
    const symbol = unread.map((cell) => (planned(cell) ? "circle-x-open" : "x-thin-open"));
    data.push(
      points("not run: nothing reads it", "not run, nothing reads its result", unread, schedule, {
        color: NEUTRAL_COLOUR,
        size: 8,
        symbol,
        line: { width: 1.5 },
      }),
    );
  }
  if (unplanned.length > 0)
    data.push(
      points("not as planned", "did not do what the schedule says", unplanned, schedule, {
        color: UNPLANNED,
        size: 13,
        symbol: "square-open",
        line: { width: 2 },
      }),
    );
  const layout = {
    title: {
      text:
        title ??
        `Caching schedule: ${(100 * computedShare(schedule)).toFixed(0)} % of these blocks' evaluations compute`,
      subtitle: { text: executed === undefined ? "" : outcome(cells.length, unread.length, unplanned.length) },
    },
    height: 140 + ROW_HEIGHT * ids.length,
    margin: { l: 190, r: 20, t: 76, b: 50 },
    legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom", itemsizing: "constant" },
    xaxis: {
      title: { text: "step (network evaluation)" },
      range: [0.4, end + 0.6],
      dtick: end > 25 ? 5 : 1,
      tick0: end > 25 ? 0 : 1,
    },
    yaxis: {
      type: "category",
      categoryorder: "array",
      categoryarray: [...ids].reverse(),
      tickfont: { size: 10 },
      range: [-0.7, ids.length - 0.3],
    },
  };
  return applyTheme({ data, layout }, theme);
}

/** From each computed evaluation to the last one that reuses it. */
function arrows(schedule: Schedule, ids: readonly string[], end: number): PlotlyObject {
  const lifetimes = ids.flatMap((id) =>
    schedule.blocks[id]
      .map((from, index, evaluations) => ({ id, from, to: (evaluations[index + 1] ?? end) - 1 }))
      .filter(({ from, to }) => to > from),
  );
  return {
    type: "scatter",
    mode: "lines+markers",
    name: "reuses its cache",
    x: lifetimes.flatMap(({ from, to }) => [from + 1, to + 1, null]),
    y: lifetimes.flatMap(({ id }) => [id, id, null]),
    line: { color: REUSED, width: 2 },
    marker: { color: REUSED, size: lifetimes.flatMap(() => [0, 9, 0]), symbol: "triangle-right", line: { width: 0 } },
    customdata: lifetimes.flatMap(({ from, to }) => [from, to, to].map(() => [from + 1, to - from])),
    hovertemplate:
      "<b>%{y}</b><br>computed at step %{customdata[0]}, reused at the next %{customdata[1]}<extra></extra>",
  };
}

function points(
  name: string,
  what: string,
  cells: readonly Cell[],
  { timesteps }: Schedule,
  marker: PlotlyObject,
): PlotlyObject {
  return {
    type: "scatter",
    mode: "markers",
    name,
    x: cells.map(({ evaluation }) => evaluation + 1),
    y: cells.map(({ id }) => id),
    marker,
    customdata: cells.map(({ evaluation }) => timesteps[evaluation]),
    hovertemplate: `<b>%{y}</b><br>${what} at step %{x}, timestep %{customdata}<extra></extra>`,
  };
}

function outcome(cells: number, unread: number, unplanned: number): string {
  const saved = unread === 0 ? "" : `; ${unread} of ${cells} evaluations were not needed at all`;
  return unplanned === 0
    ? `The run did what was planned${saved}`
    : `${unplanned} of ${cells} evaluations did not do what was planned${saved}`;
}
