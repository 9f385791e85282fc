import type { PlotlyFigure } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import type { Strip } from "./imageStrips.js";
import type { Theme } from "../theme.js";

export interface PcaStripsInput {
  /** first the image predicted at each step, then one row per block */
  readonly rows: readonly Strip[];
  /** 0-based network evaluations of the columns */
  readonly steps: readonly number[];
  readonly timesteps: readonly number[];
  readonly title?: string;
  readonly theme?: Theme;
}

/** Feature maps over time, as in the paper's Figure 2a: blocks × steps, beside the image predicted at each step. */
export function pcaStrips({
  rows,
  steps,
  timesteps,
  title = "Feature maps over the steps",
  theme,
}: PcaStripsInput): PlotlyFigure {
  const columns = steps.map((step, column) => ({
    label: `${step + 1}<br>t=${timesteps[column]}`,
    hover: `step ${step + 1}, timestep ${timesteps[column]}`,
  }));
  return imageStrips({ rows, columns, columnTitle: "step", title, theme });
}
