import { interpolateRdBu, interpolateViridis } from "d3-scale-chromatic";
import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { FONT_FAMILY } from "./headless/fonts.js";

/**
 * How a figure looks.
 * - `light`: on a white page or notebook (default)
 * - `dark`: on a dark notebook
 * - `print`: black on white for a two-column paper; its lengths are multiplied by
 *   `PRINT_POINTS_PER_PIXEL` when exported, so that text comes out at 7 pt
 */
export type Theme = "light" | "dark" | "print";

/** Font size of every figure, in pixels. */
export const FONT_SIZE = 12;

/** Printed points per layout pixel of the `print` theme: text of 12 pixels prints at 7 pt. */
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
 * Okabe & Ito's qualitative palette (https://jfly.uni-koeln.de/color/), with a brown instead of its black and yellow,
 * which vanish on a dark and on a white page. Colour-blind readers can tell these colours apart too.
 */
export const CATEGORICAL_COLOURS = [
  "#0072B2",
  "#E69F00",
  "#009E73",
  "#D55E00",
  "#56B4E9",
  "#CC79A7",
  "#944b40",
] as const;

/** For what others are compared with: visible on a white and on a dark page alike. */
export const NEUTRAL_COLOUR = "#7f8791";

/** A colour (#rrggbb) that lets what is behind it shine through; `opacity` is 0 to 1. */
export function translucent(colour: string, opacity: number): string {
  return `${colour}${Math.round(255 * opacity)
    .toString(16)
    .padStart(2, "0")}`;
}

/** The colour of a share from 0 (little, dark) to 1: perceptually even and colour-blind safe. */
export const sequentialColour = interpolateViridis;

/** The colour of a share from 0 (below zero, blue) over 0.5 (zero, white) to 1 (above, red): colour-blind safe. */
export function divergingColour(share: number): string {
  return interpolateRdBu(1 - share);
}

const SCALE_STEPS = 20;

/** A function of d3-scale-chromatic as a Plotly colour scale. */
export function colourScale(colourAt: (share: number) => string): [number, string][] {
  return Array.from({ length: SCALE_STEPS + 1 }, (_, step) => [step / SCALE_STEPS, colourAt(step / SCALE_STEPS)]);
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
    title: { standoff: 8, font: { size: FONT_SIZE } },
    tickfont: { size: FONT_SIZE - 1 },
  };
  return {
    layout: {
      font: { family: FONT_FAMILY, size: FONT_SIZE, color: ink.text },
      title: {
        font: { size: FONT_SIZE + 3 },
        x: 0,
        xanchor: "left",
        y: 1,
        yanchor: "top",
        yref: "container",
        pad: { l: 12, t: 12 },
      },
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
      // Only the print theme has its own width, that of a page. The others fill the place they are shown in.
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
 * The theme is a Plotly template, so that whatever the figure sets itself wins; its name is in `layout.meta.theme`.
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
