import { computedShare } from "../caching/schedule.js";
import type { Schedule } from "../caching/schedule.js";
import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { CATEGORICAL_COLOURS, applyTheme } from "./theme.js";
import type { Theme } from "./theme.js";

export interface ScheduleChartOptions {
  /** what a cached run did (`CachedRun.computedAt`), drawn over the plan */
  readonly computedAt?: ReadonlyMap<string, readonly number[]>;
  readonly title?: string;
  readonly theme?: Theme;
}

const ROW_HEIGHT = 20;
const [COMPUTED, REUSED, , EXECUTED] = CATEGORICAL_COLOURS;

/** The paper's Figure 4: a row a block, a dot where it computes, an arrow for as long as its cache is reused. */
export function scheduleChart(schedule: Schedule, { computedAt, title, theme = "light" }: ScheduleChartOptions = {}): PlotlyFigure {
  const ids = Object.keys(schedule.blocks);
  const end = schedule.timesteps.length;
  const dots = ids.flatMap((id) => schedule.blocks[id].map((evaluation) => ({ id, evaluation })));
  const arrows = ids.flatMap((id) => lifetimes(schedule.blocks[id], end).filter(({ from, to }) => to > from).map((lifetime) => ({ id, ...lifetime })));
  const data: PlotlyObject[] = [
    {
      type: "scatter",
      mode: "lines+markers",
      name: "reuses its cache",
      x: arrows.flatMap(({ from, to }) => [from + 1, to + 1, null]),
      y: arrows.flatMap(({ id }) => [id, id, null]),
      line: { color: REUSED, width: 2 },
      marker: { color: REUSED, size: arrows.flatMap(() => [0, 9, 0]), symbol: "triangle-right" },
      customdata: arrows.flatMap(({ from, to }) => [from + 1, to + 1, null].map(() => [from + 1, to - from])),
      hovertemplate: "<b>%{y}</b><br>computed at step %{customdata[0]}, reused at the next %{customdata[1]}<extra></extra>",
    },
    {
      type: "scatter",
      mode: "markers",
      name: "computes",
      x: dots.map(({ evaluation }) => evaluation + 1),
      y: dots.map(({ id }) => id),
      marker: { color: COMPUTED, size: 8 },
      customdata: dots.map(({ evaluation }) => schedule.timesteps[evaluation]),
      hovertemplate: "<b>%{y}</b><br>computes at step %{x}, timestep %{customdata}<extra></extra>",
    },
  ];
  if (computedAt !== undefined) {
    const executed = ids.flatMap((id) => (computedAt.get(id) ?? []).map((evaluation) => ({ id, evaluation })));
    data.push({
      type: "scatter",
      mode: "markers",
      name: "was computed",
      x: executed.map(({ evaluation }) => evaluation + 1),
      y: executed.map(({ id }) => id),
      marker: { color: EXECUTED, size: 12, symbol: "circle-open", line: { width: 1.5 } },
      hovertemplate: "<b>%{y}</b><br>was computed at step %{x}<extra></extra>",
    });
  }
  const layout = {
    title: { text: title ?? `Caching schedule: ${(100 * computedShare(schedule)).toFixed(0)} % of these blocks' evaluations compute` },
    height: 130 + ROW_HEIGHT * ids.length,
    margin: { l: 190, r: 20, t: 60, b: 50 },
    legend: { orientation: "h", x: 1, xanchor: "right", y: 1, yanchor: "bottom" },
    xaxis: { title: { text: "step (network evaluation)" }, range: [0.4, end + 0.6], dtick: end > 25 ? 5 : 1, tick0: end > 25 ? 0 : 1 },
    yaxis: { type: "category", categoryorder: "array", categoryarray: [...ids].reverse(), tickfont: { size: 10 }, range: [-0.7, ids.length - 0.3] },
  };
  return applyTheme({ data, layout }, theme);
}

/** From each computed evaluation to the last one that reuses it. */
function lifetimes(evaluations: readonly number[], end: number): { from: number; to: number }[] {
  return evaluations.map((from, index) => ({ from, to: (evaluations[index + 1] ?? end) - 1 }));
}
