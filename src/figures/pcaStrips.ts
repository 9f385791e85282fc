import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { applyTheme } from "./theme.js";
import type { Theme } from "./theme.js";

/** A row of small pictures, one a step. */
export interface Strip {
  readonly label: string;
  /** PNG data URIs, at their own resolution or enlarged without smoothing */
  readonly images: readonly string[];
}

export interface PcaStripsInput {
  /** the image predicted at each step first, then a row a block */
  readonly rows: readonly Strip[];
  /** 0-based network evaluations of the columns */
  readonly steps: readonly number[];
  readonly timesteps: readonly number[];
  readonly title?: string;
  readonly theme?: Theme;
}

/** Pixels of one picture and the gap around it. */
const CELL = 72;
const GAP = 0.06;
const LABEL_WIDTH = 190;

/** Feature maps over time, as in the paper's Figure 2a: blocks × steps, beside the image predicted at each step. */
export function pcaStrips({ rows, steps, timesteps, title = "Feature maps over the steps", theme = "light" }: PcaStripsInput): PlotlyFigure {
  const images = rows.flatMap(({ images: pictures }, row) =>
    pictures.map((source, column) => ({ source, xref: "x", yref: "y", x: column + GAP / 2, y: row + GAP / 2, sizex: 1 - GAP, sizey: 1 - GAP, sizing: "stretch", layer: "above" })),
  );
  // Invisible points give each picture its hover, and the axes their extent.
  const cells = rows.flatMap(({ label, images: pictures }, row) => pictures.map((_, column) => ({ label, row, column })));
  const points: PlotlyObject = {
    type: "scatter",
    mode: "markers",
    x: cells.map(({ column }) => column + 0.5),
    y: cells.map(({ row }) => row + 0.5),
    marker: { opacity: 0, size: CELL * 0.8 },
    text: cells.map(({ label, column }) => `<b>${label}</b><br>step ${steps[column] + 1}, timestep ${timesteps[column]}`),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: false,
  };
  const layout: PlotlyObject = {
    title: { text: title },
    images,
    width: LABEL_WIDTH + 20 + CELL * steps.length,
    height: 96 + CELL * rows.length,
    margin: { l: LABEL_WIDTH, r: 20, t: 46, b: 50 },
    xaxis: { range: [0, steps.length], tickvals: steps.map((_, column) => column + 0.5), ticktext: steps.map((step, column) => `${step + 1}<br>t=${timesteps[column]}`), title: { text: "step" }, showgrid: false, showline: false, ticks: "", zeroline: false },
    yaxis: { range: [rows.length, 0], tickvals: rows.map((_, row) => row + 0.5), ticktext: rows.map(({ label }) => label), showgrid: false, showline: false, ticks: "", zeroline: false },
  };
  return applyTheme({ data: [points], layout, config: { responsive: false } }, theme);
}
