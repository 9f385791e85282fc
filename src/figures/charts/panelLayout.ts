/** Where the panels of the network's stages stand in a figure, each with its title above and its legend below. */
import type { PlotlyObject } from "../figure.js";
import type { StagePanel } from "./stagePanels.js";

export interface PlacedPanel extends StagePanel {
  /** what ends Plotly's names of its axes and legend: "", "2", "3" … */
  readonly suffix: string;
  /** domains of its axes, as shares of the plot */
  readonly x: readonly [number, number];
  readonly y: readonly [number, number];
  /** in the first column */
  readonly leftmost: boolean;
  /** the first of its row, whose tick labels serve the whole row */
  readonly first: boolean;
}

/** Share of the plot's width between two columns. */
const COLUMN_GAP = 0.045;
/** Pixels: a panel, its title above it, the axis below it, a row of its legend, and the free room below that. */
const PANEL = 180;
const TITLE = 22;
const AXIS = 40;
const LEGEND_ROW = 19;
const ROW_GAP = 12;
const MARGIN = { l: 62, r: 16, t: 62, b: 6 };

/** The panels with their places, and the layout of all that is not an axis. */
export function panelLayout(stages: readonly StagePanel[]): {
  readonly panels: PlacedPanel[];
  readonly layout: PlotlyObject;
} {
  const columns = 1 + Math.max(...stages.map(({ column }) => column));
  const width = (1 - COLUMN_GAP * (columns - 1)) / columns;
  const rows = (["encoder", "decoder"] as const).filter((row) => stages.some((stage) => stage.row === row));
  const height = (of: readonly StagePanel[]): number =>
    TITLE + PANEL + AXIS + LEGEND_ROW * Math.max(...of.map(({ blocks }) => blocks.length)) + ROW_GAP;
  const heights = rows.map((row) => height(stages.filter((stage) => stage.row === row)));
  const middle = stages.filter(({ row }) => row === "both");
  const total = Math.max(
    heights.reduce((sum, each) => sum + each, 0),
    middle.length === 0 ? 0 : height(middle),
  );
  // Pixels from the upper edge of the plot to the upper edge of the panel, title included.
  const top = (stage: StagePanel): number =>
    stage.row === "both"
      ? (total - height([stage])) / 2
      : stage.row === "decoder" && rows.length === 2
        ? heights[0]
        : 0;

  const panels = stages.map((stage, index): PlacedPanel => {
    const left = stage.column * (width + COLUMN_GAP);
    const upper = 1 - (top(stage) + TITLE) / total;
    const beside = stages.filter(({ row }) => row === stage.row);
    return {
      ...stage,
      suffix: index === 0 ? "" : String(index + 1),
      x: [left, left + width],
      y: [upper - PANEL / total, upper],
      leftmost: stage.column === 0,
      first: stage.column === Math.min(...beside.map(({ column }) => column)),
    };
  });
  const legends = panels.map(({ suffix, x, y }) => [
    `legend${suffix}`,
    {
      x: x[0],
      xanchor: "left",
      y: y[0] - AXIS / total,
      yanchor: "top",
      font: { size: 10 },
      bgcolor: "rgba(0,0,0,0)",
      tracegroupgap: 0,
    },
  ]);
  const annotations = panels.map(({ stage, resolution, x, y }) => ({
    text: `<b>${stage}</b>  ${resolution.join(" × ")}`,
    x: x[0],
    y: y[1],
    xref: "paper",
    yref: "paper",
    xanchor: "left",
    yanchor: "bottom",
    showarrow: false,
    font: { size: 11 },
  }));
  return {
    panels,
    layout: {
      height: MARGIN.t + total + MARGIN.b,
      margin: MARGIN,
      annotations,
      ...(Object.fromEntries(legends) as object),
    },
  };
}
