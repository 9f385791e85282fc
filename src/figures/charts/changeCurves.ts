import type { BlockKind } from "../../graphs/block.js";
import { summarise } from "../../instrument/profile/statistics.js";
import type { BlockStatistics } from "../../instrument/profile/statistics.js";
import type { Measure, Profile } from "../../instrument/profile/profile.js";
import { MEASURE_TITLES } from "./measureTitles.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { applyTheme, depthColours } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ChangeCurveOptions {
  /** Default: change, the paper's relative L1 */
  readonly measure?: Measure;
  /** Default: all kinds */
  readonly kinds?: readonly BlockKind[];
  readonly theme?: Theme;
}

const PANEL_GAP = 0.06;
const PANEL_HEIGHT = 320;
/** Pixels: what stands above the panels, the axis titles below them, and a row of the legend. */
const TOP = 84;
const AXIS = 60;
const LEGEND_ROW = 20;
const LEGEND_COLUMNS = 4;

/**
 * Change of every block over the steps, as in the paper's Figure 2b: a panel a resolution, a line a block
 * with the standard deviation over prompts and seeds as a band. A button gives each panel its own y scale.
 */
export function changeCurves(profile: Profile, options: ChangeCurveOptions = {}): PlotlyFigure {
  const { measure = "change", kinds, theme = "light" } = options;
  const statistics = summarise(profile, measure).filter(({ block }) => kinds?.includes(block.kind) ?? true);
  const resolutions = [...new Set(statistics.map(({ block }) => block.resolution.join(" × ")))].sort(
    (a, b) => parseInt(b) - parseInt(a),
  );
  const colours = depthColours(statistics.length);
  const width = (1 - PANEL_GAP * (resolutions.length - 1)) / resolutions.length;
  const top = Math.max(
    ...statistics.flatMap(({ mean, standardDeviation }) =>
      Array.from(mean, (value, step) => value + standardDeviation[step]),
    ),
  );

  const data = statistics.flatMap((entry, index) => {
    const panel = resolutions.indexOf(entry.block.resolution.join(" × ")) + 1;
    return traces(entry, profile, colours[index], panel, measure);
  });
  const legendHeight = LEGEND_ROW * Math.ceil(statistics.length / LEGEND_COLUMNS);
  const layout: PlotlyObject = {
    title: { text: `${MEASURE_TITLES[measure].name} of each block's C` },
    height: TOP + PANEL_HEIGHT + AXIS + legendHeight,
    margin: { l: 60, r: 20, t: TOP, b: AXIS + legendHeight },
    hovermode: "closest",
    legend: {
      orientation: "h",
      x: 0,
      y: -AXIS / PANEL_HEIGHT,
      yanchor: "top",
      entrywidth: 1 / LEGEND_COLUMNS - 0.015,
      entrywidthmode: "fraction",
      itemsizing: "constant",
      font: { size: 10 },
      traceorder: "normal",
    },
    annotations: resolutions.map((resolution, index) => ({
      text: `<b>${resolution}</b>`,
      x: index * (width + PANEL_GAP) + width / 2,
      y: 1,
      xref: "paper",
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
    })),
    updatemenus: [scaleButton(resolutions.length, top)],
  };
  resolutions.forEach((_, index) => {
    const suffix = index === 0 ? "" : String(index + 1);
    const start = index * (width + PANEL_GAP);
    layout[`xaxis${suffix}`] = {
      domain: [start, start + width],
      anchor: `y${suffix}`,
      title: { text: "step (network evaluation)" },
      range: [1.5, profile.setting.timesteps.length + 0.5],
    };
    layout[`yaxis${suffix}`] = {
      anchor: `x${suffix}`,
      range: [0, top * 1.02],
      ...(index === 0 ? { title: { text: MEASURE_TITLES[measure].formula } } : {}),
    };
  });
  return applyTheme({ data, layout }, theme);
}

/** The line, and before it the band from mean − deviation to mean + deviation. */
function traces(
  { block, mean, standardDeviation }: BlockStatistics,
  profile: Profile,
  colour: string,
  panel: number,
  measure: Measure,
): PlotlyObject[] {
  // The first step has nothing to compare with.
  const steps = Array.from(mean.keys()).slice(1);
  const x = steps.map((step) => step + 1);
  const suffix = panel === 1 ? "" : String(panel);
  const axes = { xaxis: `x${suffix}`, yaxis: `y${suffix}`, name: block.id };
  const upper = steps.map((step) => mean[step] + standardDeviation[step]);
  const lower = steps.map((step) => Math.max(0, mean[step] - standardDeviation[step]));
  const symbol = MEASURE_TITLES[measure].symbol;
  return [
    {
      type: "scatter",
      mode: "lines",
      ...axes,
      x: [...x, ...[...x].reverse()],
      y: [...upper, ...lower.reverse()],
      fill: "toself",
      fillcolor: `${colour}22`,
      line: { width: 0 },
      hoverinfo: "skip",
      showlegend: false,
    },
    {
      type: "scatter",
      mode: "lines",
      ...axes,
      x,
      y: steps.map((step) => mean[step]),
      line: { color: colour, width: 1.6 },
      customdata: steps.map((step) => [standardDeviation[step], profile.setting.timesteps[step]]),
      hovertemplate: `<b>${block.id}</b> (${block.kind})<br>step %{x}, timestep %{customdata[1]}<br>${symbol} %{y:.4f} ± %{customdata[0]:.4f}<extra></extra>`,
    },
  ];
}

function scaleButton(panels: number, top: number): PlotlyObject {
  const axes = Array.from({ length: panels }, (_, index) => `yaxis${index === 0 ? "" : index + 1}`);
  const shared = Object.fromEntries(
    axes.flatMap((axis) => [
      [`${axis}.range`, [0, top * 1.02]],
      [`${axis}.autorange`, false],
    ]),
  );
  const own = Object.fromEntries(axes.map((axis) => [`${axis}.autorange`, true]));
  return {
    type: "buttons",
    direction: "right",
    x: 1,
    xanchor: "right",
    y: 1.2,
    yanchor: "top",
    pad: { t: 0, r: 0 },
    showactive: true,
    buttons: [
      { label: "shared y scale", method: "relayout", args: [shared] },
      { label: "own y scales", method: "relayout", args: [own] },
    ],
  };
}
