import type { BlockKind } from "../../graphs/block.js";
import { summarise } from "../../instrument/profile/statistics.js";
import type { BlockStatistics } from "../../instrument/profile/statistics.js";
import type { Measure, Profile } from "../../instrument/profile/profile.js";
import { MEASURE_TITLES } from "./measureTitles.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { panelLayout } from "./panelLayout.js";
import type { PlacedPanel } from "./panelLayout.js";
import { nameInStage, stagePanels } from "./stagePanels.js";
import { CATEGORICAL_COLOURS, FONT_SIZE, applyTheme, translucent } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ChangeCurveOptions {
  /** Default: change, the paper's relative L1 */
  readonly measure?: Measure;
  /** Default: all kinds */
  readonly kinds?: readonly BlockKind[];
  readonly theme?: Theme;
}

const DASHES: Readonly<Record<string, string>> = { transformer: "solid", resnet: "dash" };

/** How opaque a band is: where many overlap, each is fainter. */
const BAND_OPACITY = { few: 0.2, many: 0.09 };
const FEW_LINES = 3;

/**
 * Change of every block over the steps, as in the paper's Figure 2b: one panel per stage of the network, one line per
 * block with the standard deviation over prompts and seeds as a band. The encoder's panels stand above the decoder's of
 * the same level. A button gives each panel its own y scale.
 */
export function changeCurves(profile: Profile, options: ChangeCurveOptions = {}): PlotlyFigure {
  const { measure = "change", kinds, theme = "light" } = options;
  const statistics = new Map(
    summarise(profile, measure)
      .filter(({ block }) => kinds?.includes(block.kind) ?? true)
      .map((each) => [each.block.id, each]),
  );
  const shown = profile.blocks.filter(({ id }) => statistics.has(id));
  const { panels, layout } = panelLayout(stagePanels(shown, profile.blocks));
  const ends = [...statistics.values()].flatMap(({ mean, standardDeviation }) =>
    [...mean.keys()]
      .slice(1)
      .flatMap((step) => [mean[step] - standardDeviation[step], mean[step] + standardDeviation[step]]),
  );
  const bottom = measure === "cosine" ? Math.min(...ends) : 0;
  const top = measure === "cosine" ? 1 : Math.max(...ends) * 1.02;
  const { name, formula } = MEASURE_TITLES[measure];

  const data = panels.flatMap((panel) =>
    panel.blocks.flatMap(({ id }, line) => {
      const entry = statistics.get(id);
      return entry === undefined ? [] : traces(entry, profile, panel, line, measure);
    }),
  );
  const axes: PlotlyObject = {};
  for (const panel of panels) {
    axes[`xaxis${panel.suffix}`] = {
      domain: panel.x,
      anchor: `y${panel.suffix}`,
      range: [1.5, profile.setting.timesteps.length + 0.5],
      nticks: 6,
      title: { text: "step", standoff: 2, font: { size: FONT_SIZE - 1 } },
    };
    axes[`yaxis${panel.suffix}`] = {
      domain: panel.y,
      anchor: `x${panel.suffix}`,
      range: [bottom, top],
      nticks: 6,
      showticklabels: panel.first,
      ...(panel.leftmost ? { title: { text: formula } } : {}),
    };
  }
  const spread =
    profile.trajectories.length === 1
      ? "one trajectory"
      : `mean of ${profile.trajectories.length} trajectories, band: ± one standard deviation`;
  return applyTheme(
    {
      data,
      layout: {
        title: {
          text: `${name} of each block's C`,
          subtitle: { text: `Encoder above, decoder below, a level a column; ${spread}` },
        },
        hovermode: "closest",
        ...layout,
        ...axes,
        updatemenus: [scaleButton(panels, [bottom, top])],
      },
    },
    theme,
  );
}

/** The line, and before it the band from mean − deviation to mean + deviation. */
function traces(
  { block, mean, standardDeviation }: BlockStatistics,
  profile: Profile,
  panel: PlacedPanel,
  line: number,
  measure: Measure,
): PlotlyObject[] {
  // The first step has nothing to compare with.
  const steps = Array.from(mean.keys()).slice(1);
  const x = steps.map((step) => step + 1);
  const colour = CATEGORICAL_COLOURS[line % CATEGORICAL_COLOURS.length];
  const shared = {
    type: "scatter",
    mode: "lines",
    xaxis: `x${panel.suffix}`,
    yaxis: `y${panel.suffix}`,
    legend: `legend${panel.suffix}`,
    legendgroup: block.id,
    name: nameInStage(block.id),
  };
  const upper = steps.map((step) => mean[step] + standardDeviation[step]);
  const lower = steps
    .map((step) => mean[step] - standardDeviation[step])
    .map((end) => (measure === "cosine" ? end : Math.max(0, end)));
  const opacity = panel.blocks.length > FEW_LINES ? BAND_OPACITY.many : BAND_OPACITY.few;
  return [
    {
      ...shared,
      x: [...x, ...[...x].reverse()],
      y: [...upper, ...lower.reverse()],
      fill: "toself",
      fillcolor: translucent(colour, opacity),
      line: { width: 0 },
      hoverinfo: "skip",
      showlegend: false,
    },
    {
      ...shared,
      x,
      y: steps.map((step) => mean[step]),
      line: { color: colour, width: 1.8, dash: DASHES[block.kind] ?? "dot" },
      customdata: steps.map((step) => [standardDeviation[step], profile.setting.timesteps[step]]),
      hovertemplate: `<b>${block.id}</b> (${block.kind})<br>step %{x}, timestep %{customdata[1]}<br>${MEASURE_TITLES[measure].symbol} %{y:.4f} ± %{customdata[0]:.4f}<extra></extra>`,
    },
  ];
}

/** One scale for all panels, so that they can be compared; or each its own, so that small changes are seen. */
function scaleButton(panels: readonly PlacedPanel[], range: readonly [number, number]): PlotlyObject {
  const settings = (of: (panel: PlacedPanel) => PlotlyObject): PlotlyObject =>
    Object.fromEntries(
      panels.flatMap((panel) =>
        Object.entries(of(panel)).map(([key, value]) => [`yaxis${panel.suffix}.${key}`, value]),
      ),
    );
  const shared = settings(({ first }) => ({ range: [...range], autorange: false, showticklabels: first }));
  const own = settings(() => ({ autorange: true, showticklabels: true }));
  return {
    type: "buttons",
    direction: "right",
    x: 1,
    xanchor: "right",
    y: 1,
    yanchor: "bottom",
    pad: { b: 28 },
    showactive: true,
    buttons: [
      { label: "shared y scale", method: "relayout", args: [shared] },
      { label: "own y scales", method: "relayout", args: [own] },
    ],
  };
}
