import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { applyTheme } from "./theme.js";
import type { Theme } from "./theme.js";

/** A row of small pictures, one a column. */
export interface Strip {
  readonly label: string;
  /** PNG data URIs, at their own resolution or enlarged without smoothing */
  readonly images: readonly string[];
}

export interface StripColumn {
  /** below the column */
  readonly label: string;
  /** what hovering over a picture adds to its row's label */
  readonly hover: string;
}

export interface ImageStripsInput {
  readonly rows: readonly Strip[];
  readonly columns: readonly StripColumn[];
  readonly columnTitle: string;
  readonly title: string;
  readonly theme?: Theme;
}

/** Pixels of one picture and the gap around it. */
const CELL = 72;
const GAP = 0.06;
const LABEL_WIDTH = 190;

/** Pictures in rows and columns, both labelled. */
export function imageStrips({ rows, columns, columnTitle, title, theme = "light" }: ImageStripsInput): PlotlyFigure {
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
    text: cells.map(({ label, column }) => `<b>${label}</b><br>${columns[column].hover}`),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: false,
  };
  const layout: PlotlyObject = {
    title: { text: title },
    images,
    width: LABEL_WIDTH + 20 + CELL * columns.length,
    height: 96 + CELL * rows.length,
    margin: { l: LABEL_WIDTH, r: 20, t: 46, b: 50 },
    xaxis: { range: [0, columns.length], tickvals: columns.map((_, column) => column + 0.5), ticktext: columns.map(({ label }) => label), title: { text: columnTitle }, showgrid: false, showline: false, ticks: "", zeroline: false },
    yaxis: { range: [rows.length, 0], tickvals: rows.map((_, row) => row + 0.5), ticktext: rows.map(({ label }) => label), showgrid: false, showline: false, ticks: "", zeroline: false },
  };
  return applyTheme({ data: [points], layout, config: { responsive: false } }, theme);
}
