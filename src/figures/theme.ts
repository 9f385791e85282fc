import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { FONT_FAMILY } from "./headless/fonts.js";

/**
 * How a figure looks.
 * - `light`: on a white page or notebook (default)
 * - `dark`: on a dark notebook
 * - `print`: black on white for a two-column paper; its lengths are multiplied by
 *   `PRINT_POINTS_PER_PIXEL` when exported, so that letters come out at 7 pt
 */
export type Theme = "light" | "dark" | "print";

/** Size of the letters of every figure, in pixels. */
export const FONT_SIZE = 12;

/** Printed points a layout pixel of the `print` theme: the letters of 12 pixels print at 7 pt. */
export const PRINT_POINTS_PER_PIXEL = 7 / FONT_SIZE;

/** Layout width in pixels that fills a 6.9 inch page in the `print` theme. */
const PRINT_WIDTH = Math.round((6.9 * 72) / PRINT_POINTS_PER_PIXEL);

/** The colours a theme is made of. */
interface Ink {
  readonly paper: string;
  readonly text: string;
  readonly faint: string;
  readonly grid: string;
}

const INKS: Readonly<Record<Theme, Ink>> = {
  light: { paper: "#ffffff", text: "#22262b", faint: "#5b636d", grid: "#e3e6ea" },
  dark: { paper: "#14171b", text: "#e4e7eb", faint: "#a3abb5", grid: "#333940" },
  print: { paper: "#ffffff", text: "#000000", faint: "#333333", grid: "#dddddd" },
};

/**
 * Okabe & Ito's qualitative palette (https://jfly.uni-koeln.de/color/), without its black and
 * yellow, which vanish on a dark and on a white page.
 */
export const CATEGORICAL_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"] as const;

/** For what is there to compare with: stands off a white and a dark page alike. */
export const NEUTRAL_COLOUR = "#7f8791";

/** Perceptually even and colour-blind safe, dark is little: viridis (https://bids.github.io/colormap/). */
export const SEQUENTIAL_COLOURS = [
  "#440154",
  "#482878",
  "#3e4989",
  "#31688e",
  "#26828e",
  "#1f9e89",
  "#35b779",
  "#6ece58",
  "#b5de2b",
  "#fde725",
] as const;

/**
 * Order along the network, from the first block to the last: hue and lightness both move, as in
 * Crameri's batlow, and both ends are cut so that each line stands off white and off black.
 */
const DEPTH_COLOURS = ["#1f5fa8", "#1b86a6", "#2a9d77", "#7a9a2b", "#c98d1a", "#e0703f", "#d95f86", "#a95bb5"] as const;

/** The colour at `position` (0 to 1) between evenly spaced `colours` (#rrggbb), mixed in sRGB. */
export function colourAt(colours: readonly string[], position: number): string {
  const place = Math.min(Math.max(position, 0), 1) * (colours.length - 1);
  const lower = Math.min(Math.floor(place), colours.length - 2);
  const channel = (colour: string | undefined, start: number): number =>
    parseInt((colour ?? "#000000").slice(start, start + 2), 16);
  const mixed = [1, 3, 5].map((start) => {
    const from = channel(colours[lower], start);
    const to = channel(colours[lower + 1], start);
    return Math.round(from + (to - from) * (place - lower))
      .toString(16)
      .padStart(2, "0");
  });
  return `#${mixed.join("")}`;
}

/** The colours of `count` blocks that follow one another in the network. */
export function depthColours(count: number): string[] {
  return Array.from({ length: count }, (_, index) => colourAt(DEPTH_COLOURS, count > 1 ? index / (count - 1) : 0));
}

/** A colour list as a Plotly colour scale. */
export function colourScale(colours: readonly string[]): [number, string][] {
  return colours.map((colour, index) => [index / (colours.length - 1), colour]);
}

function template(theme: Theme): PlotlyObject {
  const ink = INKS[theme];
  const axis = {
    gridcolor: ink.grid,
    linecolor: ink.faint,
    tickcolor: ink.faint,
    zerolinecolor: ink.grid,
    showline: true,
    ticks: "outside",
    ticklen: 4,
    title: { standoff: 8 },
    tickfont: { size: FONT_SIZE - 1 },
  };
  return {
    layout: {
      font: { family: FONT_FAMILY, size: FONT_SIZE, color: ink.text },
      title: { font: { size: FONT_SIZE + 3 }, x: 0.01, xanchor: "left", y: 0.985, yanchor: "top", yref: "container" },
      paper_bgcolor: ink.paper,
      plot_bgcolor: ink.paper,
      colorway: CATEGORICAL_COLOURS,
      xaxis: axis,
      yaxis: axis,
      hoverlabel: { font: { family: FONT_FAMILY, size: FONT_SIZE }, align: "left" },
      legend: { font: { size: FONT_SIZE - 1 }, bgcolor: "rgba(0,0,0,0)" },
      annotationdefaults: { font: { color: ink.text }, arrowcolor: ink.faint },
      shapedefaults: { line: { color: ink.faint } },
      sliderdefaults: {
        bgcolor: ink.grid,
        bordercolor: ink.faint,
        activebgcolor: ink.faint,
        tickcolor: ink.faint,
        font: { color: ink.text },
      },
      updatemenudefaults: {
        bgcolor: ink.paper,
        bordercolor: ink.faint,
        font: { size: FONT_SIZE - 1, color: ink.text },
      },
      // The print theme has a size of its own: a page's width. The others fill the place they are shown in.
      ...(theme === "print" ? { width: PRINT_WIDTH } : {}),
    },
  };
}

/** The theme that a figure was made in, or was put into. */
export function themeOf({ layout }: PlotlyFigure): Theme | undefined {
  return (layout.meta as { theme?: Theme } | undefined)?.theme;
}

/**
 * The same figure in another theme: colours, fonts and line colours change, data and layout stay.
 * The theme is a Plotly template, so whatever the figure sets itself wins; its name stands in `layout.meta.theme`.
 */
export function applyTheme(figure: PlotlyFigure, theme: Theme): PlotlyFigure {
  return {
    ...figure,
    layout: {
      ...figure.layout,
      template: template(theme),
      meta: { ...(figure.layout.meta as PlotlyObject | undefined), theme },
    },
  };
}
