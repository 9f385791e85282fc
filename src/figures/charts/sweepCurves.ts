import { ArgumentError } from "../../errors.js";
import type { DistanceMeasure } from "../../study/compare.js";
import type { StudyResult } from "../../study/result.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { ratioAxis } from "./ratioAxis.js";
import { seriesOf } from "./series.js";
import type { Series } from "./series.js";
import { DISTANCE_TITLES, studyPoints } from "./studyPoints.js";
import type { StudyPoint } from "./studyPoints.js";
import { CATEGORICAL_COLOURS, NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface SweepCurvesOptions {
  /** the heuristic whose parameter is swept. Default: threshold, and its parameter is δ */
  readonly heuristic?: string;
  /** Default: latent */
  readonly measure?: DistanceMeasure;
  readonly theme?: Theme;
}

const PANELS = { error: [0.5, 1], speedup: [0, 0.42] };

/**
 * Error and speed-up over the parameter of one heuristic, one line per choice of blocks and reuse rule, with the plain
 * run as the level to compare with.
 *
 * @throws ArgumentError where the study has no arm of this heuristic with a parameter
 */
export function sweepCurves(study: StudyResult, options: SweepCurvesOptions = {}): PlotlyFigure {
  const { heuristic = "threshold", measure = "latent", theme = "light" } = options;
  const points = studyPoints(study, measure);
  const swept = points.filter(({ cached }) => cached?.heuristic === heuristic && cached.parameter !== undefined);
  if (swept.length === 0)
    throw new ArgumentError(
      `heuristic: the study has no arm of ${heuristic} with a parameter — it has ${[...new Set(points.flatMap(({ cached }) => cached?.heuristic ?? []))].join(", ")}`,
    );
  const plain = points.find(({ cached, steps }) => cached === undefined && steps === study.steps);
  const parameter = heuristic === "threshold" ? "δ" : `parameter of ${heuristic}`;
  const variants = seriesOf(swept);
  const xs = swept.map(({ cached }) => cached?.parameter ?? 0);
  const [least, most] = [Math.min(...xs), Math.max(...xs)];

  const data: PlotlyObject[] = [
    ...(plain === undefined ? [] : [level([least, most], plain.distance, "y", study.steps)]),
    level([least, most], 1, "y2", study.steps),
    ...variants.flatMap((each, index) => [
      line(each, index, "y", ({ distance }) => distance, true),
      line(each, index, "y2", ({ speedup }) => speedup, false),
    ]),
  ];
  const layout: PlotlyObject = {
    title: {
      text: `What ${parameter} costs and what it saves`,
      subtitle: {
        text: `Distances are from the ${study.converged_steps}-step solution; speed-up is measured against plain ${study.steps} steps`,
      },
    },
    height: 560,
    margin: { l: 64, r: 20, t: 70, b: 54 },
    legend: { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 0 },
    xaxis: {
      title: { text: parameter },
      anchor: "y2",
      range: [least - 0.03 * (most - least), most + 0.03 * (most - least)],
    },
    yaxis: {
      title: { text: DISTANCE_TITLES[measure] },
      domain: PANELS.error,
      ...ratioAxis([...swept, ...(plain === undefined ? [] : [plain])].map(({ distance }) => distance)),
    },
    yaxis2: { title: { text: "speed-up, ×" }, domain: PANELS.speedup },
  };
  return applyTheme({ data, layout }, theme);
}

function line(
  { variant, symbol, points }: Series,
  index: number,
  yaxis: string,
  y: (point: StudyPoint) => number,
  showlegend: boolean,
): PlotlyObject {
  return {
    type: "scatter",
    mode: "lines+markers",
    name: variant,
    legendgroup: variant,
    showlegend,
    yaxis,
    x: points.map(({ cached }) => cached.parameter),
    y: points.map(y),
    line: { color: CATEGORICAL_COLOURS[index % CATEGORICAL_COLOURS.length], width: 1.6 },
    marker: { symbol, size: 8 },
    text: points.map(
      ({ name, computedShare }) => `<b>${name}</b><br>${(100 * computedShare).toFixed(0)} % of the evaluations compute`,
    ),
    hovertemplate: "%{text}<br>%{y:.3f}<extra></extra>",
  };
}

function level([from, to]: [number, number], value: number, yaxis: string, steps: number): PlotlyObject {
  return {
    type: "scatter",
    mode: "lines",
    name: `plain ${steps} steps`,
    legendgroup: "plain",
    showlegend: yaxis === "y",
    yaxis,
    x: [from, to],
    y: [value, value],
    line: { color: NEUTRAL_COLOUR, dash: "dash", width: 1.5 },
    hoverinfo: "skip",
  };
}
