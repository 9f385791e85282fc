import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import { pictureUri } from "./pictureUri.js";
import type { SweepPictures, SweepSetting } from "./sweepPictures.js";
import { CATEGORICAL_COLOURS, NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface SweepStripsOptions {
  readonly title?: string;
  readonly theme?: Theme;
}

/** Height in pixels of the throughput curve, and of the gap between it and the pictures. */
const CURVE = 130;
const GAP = 26;

/** The paper's Figure 7: pictures over the parameter, and below them how many images per second each setting makes. */
export async function sweepStrips(
  { parameter, prompts, plain, cached }: SweepPictures,
  { title, theme = "light" }: SweepStripsOptions = {},
): Promise<PlotlyFigure> {
  const settings: readonly SweepSetting[] = [plain, ...cached];
  const labels = ["plain", ...cached.map(({ value }) => `${parameter} = ${value}`)];
  const speedups = settings.map(({ seconds }) => plain.seconds / seconds);
  const rows = await Promise.all(
    prompts.map(async (label, prompt) => ({
      label,
      images: await Promise.all(settings.map(({ images }) => pictureUri(images[prompt]))),
    })),
  );
  const columns = labels.map((label, index) => ({
    label: `${label}<br>${speedups[index].toFixed(2)} ×`,
    hover: `${label}, ${speedups[index].toFixed(2)} × as fast as plain`,
  }));
  const strips = imageStrips({
    rows,
    columns,
    columnTitle: "",
    title: title ?? `Pictures and throughput over ${parameter}`,
    theme,
  });

  const throughputs = settings.map(({ seconds }) => 1 / seconds);
  const { height, margin } = strips.layout as { height: number; margin: { t: number; b: number } };
  const plot = height - margin.t - margin.b + GAP + CURVE;
  const curve: PlotlyObject = {
    type: "scatter",
    mode: "lines+markers",
    yaxis: "y2",
    x: settings.map((_, column) => column + 0.5),
    y: throughputs,
    line: { color: CATEGORICAL_COLOURS[0], width: 2 },
    marker: { size: 8 },
    text: labels,
    hovertemplate: "<b>%{text}</b><br>%{y:.2f} images/s<extra></extra>",
    showlegend: false,
  };
  const level: PlotlyObject = {
    type: "scatter",
    mode: "lines",
    yaxis: "y2",
    x: [0, settings.length],
    y: [throughputs[0], throughputs[0]],
    line: { color: NEUTRAL_COLOUR, dash: "dash", width: 1.2 },
    hoverinfo: "skip",
    showlegend: false,
  };
  const layout: PlotlyObject = {
    ...strips.layout,
    height: height + GAP + CURVE,
    xaxis: { ...(strips.layout.xaxis as PlotlyObject), anchor: "y2" },
    yaxis: { ...(strips.layout.yaxis as PlotlyObject), domain: [(CURVE + GAP) / plot, 1] },
    yaxis2: {
      domain: [0, CURVE / plot],
      anchor: "x",
      title: { text: "images a second" },
      range: [0, 1.12 * Math.max(...throughputs)],
      nticks: 5,
    },
  };
  return applyTheme({ ...strips, data: [...strips.data, level, curve], layout }, theme);
}
