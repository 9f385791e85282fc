import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

/** A row of small pictures, one per column. */
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
  /** pixels of one picture, its gap included. Default: 72 */
  readonly cell?: number;
  readonly theme?: Theme;
}

/** The gap between pictures, as a share of a cell. */
const GAP = 0.06;
const LABEL_WIDTH = 190;
/** Pixels above the pictures, and the height of one line of a column's label. */
const TOP = 46;
const LINE = 15;

/** Pictures in rows and columns, both labelled. */
export function imageStrips({
  rows,
  columns,
  columnTitle,
  title,
  cell = 72,
  theme = "light",
}: ImageStripsInput): PlotlyFigure {
  const images = rows.flatMap(({ images: pictures }, row) =>
    pictures.map((source, column) => ({
      source,
      xref: "x",
      yref: "y",
      x: column + GAP / 2,
      y: row + GAP / 2,
      sizex: 1 - GAP,
      sizey: 1 - GAP,
      sizing: "stretch",
      layer: "above",
    })),
  );
  // Invisible points give each picture its hover, and the axes their extent.
  const cells = rows.flatMap(({ label, images: pictures }, row) =>
    pictures.map((_, column) => ({ label, row, column })),
  );
  const points: PlotlyObject = {
    type: "scatter",
    mode: "markers",
    x: cells.map(({ column }) => column + 0.5),
    y: cells.map(({ row }) => row + 0.5),
    marker: { opacity: 0, size: cell * 0.8 },
    text: cells.map(({ label, column }) => `<b>${label}</b><br>${columns[column].hover}`),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: false,
  };
  const labels = columns.map(({ label }) => wrap(label, cell));
  const lines = Math.max(1, ...labels.map((label) => label.split("<br>").length));
  const bottom = 12 + LINE * lines + (columnTitle === "" ? 0 : 24);
  const layout: PlotlyObject = {
    title: { text: title },
    images,
    width: LABEL_WIDTH + 20 + cell * columns.length,
    height: TOP + cell * rows.length + bottom,
    margin: { l: LABEL_WIDTH, r: 20, t: TOP, b: bottom },
    xaxis: {
      range: [0, columns.length],
      tickvals: columns.map((_, column) => column + 0.5),
      ticktext: labels,
      tickangle: 0,
      title: { text: columnTitle },
      showgrid: false,
      showline: false,
      ticks: "",
      zeroline: false,
    },
    yaxis: {
      range: [rows.length, 0],
      tickvals: rows.map((_, row) => row + 0.5),
      ticktext: rows.map(({ label }) => label),
      showgrid: false,
      showline: false,
      ticks: "",
      zeroline: false,
    },
  };
  return applyTheme({ data: [points], layout, config: { responsive: false } }, theme);
}

/** A letter's width in pixels, on average. */
const LETTER = 5.8;

/** Breaks a label into lines that fit below a picture; a word that is too long stays whole. */
function wrap(label: string, pixels: number): string {
  return label
    .split("<br>")
    .flatMap((paragraph) =>
      paragraph.split(" ").reduce<string[]>((lines, word) => {
        const last = lines.at(-1);
        if (last !== undefined && (last.length + 1 + word.length) * LETTER <= pixels)
          return [...lines.slice(0, -1), `${last} ${word}`];
        return [...lines, word];
      }, []),
    )
    .join("<br>");
}
