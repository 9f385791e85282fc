import type { BlockKind } from "../../graphs/block.js";
import { summarise } from "../../instrument/profile/statistics.js";
import type { Measure, Profile } from "../../instrument/profile/profile.js";
import { MEASURE_TITLES } from "./measureTitles.js";
import type { PlotlyFigure } from "../figure.js";
import { FONT_SIZE, applyTheme, colourScale, sequentialColour } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ChangeHeatMapOptions {
  /** Default: change */
  readonly measure?: Measure;
  /** Default: all kinds */
  readonly kinds?: readonly BlockKind[];
  readonly theme?: Theme;
}

const ROW_HEIGHT = 15;
/** The colour scale ends at this quantile, so that one outlier does not turn the rest dark. */
const COLOUR_QUANTILE = 0.98;

/** Mean change as a map: one row per block in execution order, one column per step. */
export function changeHeatMap(profile: Profile, options: ChangeHeatMapOptions = {}): PlotlyFigure {
  const { measure = "change", kinds, theme = "light" } = options;
  const statistics = summarise(profile, measure).filter(({ block }) => kinds?.includes(block.kind) ?? true);
  const steps = Array.from(profile.setting.timesteps.keys()).slice(1);
  const z = statistics.map(({ mean }) => steps.map((step) => mean[step]));
  const sorted = z.flat().sort((a, b) => a - b);
  const { name, formula, symbol } = MEASURE_TITLES[measure];
  const heatMap = {
    type: "heatmap",
    x: steps.map((step) => step + 1),
    y: statistics.map(({ block }) => block.id),
    z,
    zmin: measure === "cosine" ? sorted[0] : 0,
    zmax: measure === "cosine" ? 1 : sorted[Math.floor(COLOUR_QUANTILE * (sorted.length - 1))],
    colorscale: colourScale(sequentialColour),
    colorbar: { title: { text: formula, side: "right", font: { size: FONT_SIZE } }, thickness: 14 },
    customdata: statistics.map(({ block }) => steps.map((step) => [block.kind, profile.setting.timesteps[step]])),
    hovertemplate: `<b>%{y}</b> (%{customdata[0]})<br>step %{x}, timestep %{customdata[1]}<br>${symbol} %{z:.4f}<extra></extra>`,
  };
  const layout = {
    title: { text: `${name}, block × step` },
    height: 120 + ROW_HEIGHT * statistics.length,
    margin: { l: 190, r: 20, t: 50, b: 50 },
    xaxis: { title: { text: "step (network evaluation)" }, dtick: steps.length > 25 ? 5 : 1, showgrid: false },
    yaxis: { autorange: "reversed", tickfont: { size: 10 }, showgrid: false, dtick: 1 },
  };
  return applyTheme({ data: [heatMap], layout }, theme);
}
