import { ticks } from "d3-array";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { CATEGORICAL_COLOURS, NEUTRAL_COLOUR, applyTheme, translucent } from "../theme.js";
import type { Theme } from "../theme.js";

/** A column of the table. */
export interface EvaluationMetric {
  /** "Fréchet distance", "CLIP score", "images a second", "speed-up" */
  readonly title: string;
  readonly better: "less" | "more";
  /** decimals of its numbers */
  readonly decimals: number;
  /** whose numbers they are, where they are not this table's: drawn hollow, and named in the subtitle */
  readonly source?: string;
}

/** A measured number, with its interval where one is known. */
export interface EvaluatedValue {
  readonly value: number;
  /** ends of its 95 % interval */
  readonly low?: number;
  readonly high?: number;
}

/** One way to sample, measured. */
export interface ChartedSetting {
  /** "cached 20 + scale-shift" */
  readonly label: string;
  readonly solver: string;
  /** num_inference_steps */
  readonly steps: number;
  /** by the metric's title; absent where it was not measured */
  readonly values: Readonly<Record<string, EvaluatedValue>>;
}

export interface EvaluationChartInput {
  readonly metrics: readonly EvaluationMetric[];
  readonly settings: readonly ChartedSetting[];
  /** label of the setting that the others are compared with: a dashed line marks its numbers */
  readonly reference?: string;
  readonly title?: string;
  readonly theme?: Theme;
}

const ROW_HEIGHT = 42;
const MARGIN = { l: 210, r: 24, t: 112, b: 40 };
const COLUMN_GAP = 0.035;
/** Pixels that a column's points and numbers need side by side. */
const COLUMN_WIDTH = 150;
/** The width of an axis, about, and of a character of its tick labels. */
const [COLUMN_PIXELS, CHARACTER_PIXELS] = [115, 7];
/** Free room to the left of a column's points, and to the right, where its numbers stand, as shares of their spread. */
const FREE = { left: 0.12, right: 0.75 };

/**
 * The paper's Table 1 as a figure: one row per setting, one column per metric, each number with its 95 % interval; the
 * best of a column is bold.
 */
export function evaluationChart(input: EvaluationChartInput): PlotlyFigure {
  const { metrics, settings, reference, title = "Quality and speed of each setting", theme = "light" } = input;
  const width = (1 - COLUMN_GAP * (metrics.length - 1)) / metrics.length;
  const sources = new Set(metrics.flatMap(({ source }) => source ?? []));
  const layout: PlotlyObject = {
    title: {
      text: title,
      subtitle: {
        text: [
          "Points with 95 % intervals, the best number of a column bold",
          ...(reference === undefined ? [] : [`dashed: ${reference}`]),
          ...[...sources].map((source) => `hollow: ${source}`),
        ].join("; "),
      },
    },
    width: MARGIN.l + MARGIN.r + COLUMN_WIDTH * metrics.length,
    height: MARGIN.t + MARGIN.b + ROW_HEIGHT * settings.length,
    margin: MARGIN,
    showlegend: false,
    yaxis: {
      range: [settings.length - 0.5, -0.5],
      tickvals: settings.map((_, row) => row),
      ticktext: settings.map(({ label, solver, steps }) => `<b>${label}</b><br>${solver}, ${steps} steps`),
      showgrid: false,
      zeroline: false,
      showline: false,
      ticks: "",
    },
    annotations: metrics.map((metric, column) => ({
      text: `<b>${metric.title}</b><br>${metric.better} is better`,
      x: column * (width + COLUMN_GAP) + width / 2,
      xref: "paper",
      xanchor: "center",
      y: 1,
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
    })),
  };
  const data = metrics.flatMap((metric, column): PlotlyObject[] => {
    const suffix = column === 0 ? "" : String(column + 1);
    const measured = settings.flatMap(({ label, values }, row) => {
      const found = values[metric.title];
      return found === undefined
        ? []
        : [{ label, row, ...found, low: found.low ?? found.value, high: found.high ?? found.value }];
    });
    const ends = measured.flatMap(({ low, high }) => [low, high]);
    const [least, most] = [Math.min(...ends), Math.max(...ends)];
    const spread = most - least || Math.abs(most) || 1;
    const range = [least - FREE.left * spread, most + FREE.right * spread];
    layout[`xaxis${suffix}`] = {
      domain: [column * (width + COLUMN_GAP), column * (width + COLUMN_GAP) + width],
      anchor: "y",
      range,
      tickvals: ticksApart(least, most, (COLUMN_PIXELS * spread) / (range[1] - range[0])),
      tickangle: 0,
      zeroline: false,
    };
    const values = measured.map(({ value }) => value);
    const best = metric.better === "less" ? Math.min(...values) : Math.max(...values);
    const number = (value: number): string =>
      value
        .toFixed(metric.decimals)
        .replace(/^-(?=.*[1-9])/, "−")
        .replace("-", "");
    const compared = measured.find(({ label }) => label === reference);
    const color = CATEGORICAL_COLOURS[metric.source === undefined ? 0 : 1];
    const axes = { type: "scatter", xaxis: `x${suffix}`, yaxis: "y" };
    return [
      ...(compared === undefined
        ? []
        : [
            {
              ...axes,
              mode: "lines",
              x: [compared.value, compared.value],
              y: [-0.5, settings.length - 0.5],
              line: { color: NEUTRAL_COLOUR, width: 1.2, dash: "dash" },
              hoverinfo: "skip",
            },
          ]),
      {
        ...axes,
        mode: "markers",
        cliponaxis: false,
        name: metric.title,
        x: values,
        y: measured.map(({ row }) => row),
        marker: { color, symbol: metric.source === undefined ? "circle" : "circle-open", size: 9 },
        ...(measured.some(({ low, high }) => low < high) ? { error_x: intervalsOf(measured, color) } : {}),
        customdata: measured.map(({ label, value, low, high }) => [label, number(value), number(low), number(high)]),
        hovertemplate: `<b>%{customdata[0]}</b><br>${metric.title}: %{customdata[1]} (%{customdata[2]} to %{customdata[3]})<extra></extra>`,
      },
      {
        ...axes,
        mode: "text",
        x: measured.map(() => range[1]),
        y: measured.map(({ row }) => row),
        text: measured.map(({ value }) => (number(value) === number(best) ? `<b>${number(value)}</b>` : number(value))),
        textposition: "middle left",
        hoverinfo: "skip",
      },
    ];
  });
  return applyTheme({ data, layout }, theme);
}

/** Round numbers from `least` to `most`, which are so many pixels apart: as many as leave room between their labels. */
function ticksApart(least: number, most: number, pixels: number): number[] {
  const all = ticks(least, most, 2);
  const longest = Math.max(...all.map((tick) => String(tick).length)) * CHARACTER_PIXELS;
  const gap = (pixels * (all[1] - all[0])) / (most - least);
  const every = all.length < 2 ? 1 : Math.ceil(longest / gap);
  return all.filter((_, index) => (all.length - 1 - index) % every === 0);
}

function intervalsOf(measured: readonly Required<EvaluatedValue>[], color: string): PlotlyObject {
  return {
    type: "data",
    symmetric: false,
    array: measured.map(({ value, high }) => high - value),
    arrayminus: measured.map(({ value, low }) => value - low),
    thickness: 2,
    width: 4,
    color: translucent(color, 0.7),
  };
}
