import type { NetworkWork } from "../../caching/costs/networkWork.js";
import type { DistanceMeasure } from "../../study/compare.js";
import type { StudyResult } from "../../study/result.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { COST_TITLES, atCost } from "./armCost.js";
import type { CostAxis, CostedPoint } from "./armCost.js";
import { describe, summary } from "./paretoText.js";
import { placeLabels } from "./placeLabels.js";
import type { LabelPosition } from "./placeLabels.js";
import { ratioAxis, shareOf } from "./ratioAxis.js";
import type { RatioAxis } from "./ratioAxis.js";
import { seriesOf } from "./series.js";
import { DISTANCE_TITLES, studyPoints } from "./studyPoints.js";
import { NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ParetoOptions {
  /** Default: latent, the relative distance of the final latents */
  readonly measure?: DistanceMeasure;
  /** what a run costs. Default: time, as it was measured */
  readonly x?: CostAxis;
  /** of the study's network (`networkWork`), needed where x is multiply-adds */
  readonly work?: NetworkWork;
  /** 95 % intervals of the mean over trajectories, and the range of the measured times. Default: off */
  readonly intervals?: boolean;
  readonly theme?: Theme;
}

const HEIGHT = 480;
const MARGIN = { l: 64, r: 20, t: 76, b: 54 };
const LEGEND_ROW = 19;
const DOMINATED_OPACITY = 0.45;
const LABEL_SIZE = 10;
/**
 * Width in pixels of the plot, without its legend, in the narrowest figure, which is the print theme's: labels are
 * closest there.
 */
const NARROWEST_PLOT = 520;
/** Points along each piece of the plain runs' line that labels keep off. */
const LINE_POINTS = 12;

/**
 * Error against cost of every arm of a study, with the error measured from the near-converged solution. The plain runs
 * with fewer steps are the line to beat; an arm that another one beats in both is faint; the others are joined by the
 * front and labelled.
 *
 * @throws ArgumentError where x is multiply-adds and the network's work is not given
 */
export function pareto(
  study: StudyResult,
  { measure = "latent", x = "time", work, intervals = false, theme = "light" }: ParetoOptions = {},
): PlotlyFigure {
  const all = studyPoints(study, measure);
  const points = atCost(study, all, x, work);
  const plain = points.filter(({ cached }) => cached === undefined).sort((a, b) => a.cost - b.cost);
  const series = seriesOf(points);
  const spread = (point: CostedPoint): number[] => [
    point.distance,
    ...(intervals ? [point.interval.low, point.interval.high] : []),
  ];
  const breadth = ({ cost, timeRange }: CostedPoint): number[] => [
    cost,
    ...(intervals && x === "time" ? timeRange : []),
  ];
  const axes = { x: ratioAxis(points.flatMap(breadth)), y: ratioAxis(points.flatMap(spread)) };
  const height = Math.max(HEIGHT, MARGIN.t + MARGIN.b + LEGEND_ROW * (2 + series.length));
  const labels = labelsOf(points, axes, height - MARGIN.t - MARGIN.b);
  const traceOf = (members: readonly CostedPoint[], colour: string): PlotlyObject => ({
    type: "scatter",
    ...coordinates(members),
    text: members.map((point) => (labels.has(point) ? labelOf(point) : "")),
    textposition: members.map((point) => labels.get(point) ?? "top right"),
    textfont: { size: LABEL_SIZE },
    hovertext: members.map((point) => describe(point, study.steps, measure, x)),
    hovertemplate: "%{hovertext}<extra></extra>",
    ...(intervals ? bars(members, colour, x) : {}),
  });

  const data: PlotlyObject[] = [
    {
      type: "scatter",
      mode: "lines",
      name: "front: nothing is cheaper and better",
      ...coordinates(points.filter(({ onFront }) => onFront).sort((a, b) => a.cost - b.cost)),
      line: { color: NEUTRAL_COLOUR, width: 7, shape: "hv" },
      opacity: 0.35,
      hoverinfo: "skip",
    },
    {
      ...traceOf(plain, NEUTRAL_COLOUR),
      mode: "lines+markers+text",
      name: "plain, fewer steps",
      line: { color: NEUTRAL_COLOUR, width: 2 },
      marker: { color: NEUTRAL_COLOUR, size: 9, symbol: "square" },
    },
    ...series.flatMap(({ heuristic, variant, colour, symbol, points: members }): PlotlyObject[] => {
      const name = `${heuristic}: ${variant}`;
      const marker = { color: colour, symbol, size: 10, line: { width: symbol.endsWith("-open") ? 1.8 : 0 } };
      return [
        {
          ...traceOf(members, `${colour}88`),
          mode: "markers+text",
          name,
          legendgroup: name,
          showlegend: false,
          marker: { ...marker, opacity: members.map(({ onFront }) => (onFront ? 1 : DOMINATED_OPACITY)) },
        },
        // The legend takes the first point's opacity, which may be faint.
        { type: "scatter", mode: "markers", name, legendgroup: name, x: [null], y: [null], marker },
      ];
    }),
  ];
  const layout: PlotlyObject = {
    title: {
      text: `Error against ${COST_TITLES[x].name}: distance from the ${study.converged_steps}-step solution`,
      subtitle: { text: summary(points, all.length - points.length, x) },
    },
    height,
    margin: MARGIN,
    hovermode: "closest",
    legend: { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 0 },
    xaxis: {
      title: {
        text: `${COST_TITLES[x].axis} ÷ that of plain ${study.steps} steps (${study.solver}, batch of ${study.batch})`,
      },
      ...axes.x,
    },
    yaxis: { title: { text: DISTANCE_TITLES[measure] }, ...axes.y },
  };
  return applyTheme({ data, layout }, theme);
}

function coordinates(points: readonly CostedPoint[]): { x: number[]; y: number[] } {
  return { x: points.map(({ cost }) => cost), y: points.map(({ distance }) => distance) };
}

/** Plain runs by their steps, cached ones by their setting where nothing beats them. */
function labelOf({ cached, steps, onFront }: CostedPoint): string {
  if (cached === undefined) return String(steps);
  return onFront ? cached.setting : "";
}

/** The points that have room for a label, and where the label goes. */
function labelsOf(
  points: readonly CostedPoint[],
  axes: { readonly x: RatioAxis; readonly y: RatioAxis },
  plotHeight: number,
): Map<CostedPoint, LabelPosition> {
  const placed = points.map((point) => ({
    x: NARROWEST_PLOT * shareOf(axes.x, point.cost),
    y: plotHeight * (1 - shareOf(axes.y, point.distance)),
    label: labelOf(point),
  }));
  const plain = placed.filter((_, index) => points[index].cached === undefined).sort((a, b) => a.x - b.x);
  const line = plain.slice(1).flatMap((to, index) =>
    Array.from({ length: LINE_POINTS }, (_, step) => {
      const [from, share] = [plain[index], (step + 0.5) / LINE_POINTS];
      return { x: from.x + share * (to.x - from.x), y: from.y + share * (to.y - from.y) };
    }),
  );
  const positions = placeLabels(placed, line, LABEL_SIZE, { width: NARROWEST_PLOT, height: plotHeight });
  return new Map(points.flatMap((point, index) => (positions[index] === undefined ? [] : [[point, positions[index]]])));
}

function bars(points: readonly CostedPoint[], color: string, x: CostAxis): PlotlyObject {
  const style = { type: "data", symmetric: false, thickness: 1, width: 2, color };
  const errorX = {
    ...style,
    array: points.map(({ time, timeRange }) => timeRange[1] - time),
    arrayminus: points.map(({ time, timeRange }) => time - timeRange[0]),
  };
  return {
    ...(x === "time" ? { error_x: errorX } : {}),
    error_y: {
      ...style,
      array: points.map(({ distance, interval }) => interval.high - distance),
      arrayminus: points.map(({ distance, interval }) => distance - interval.low),
    },
  };
}
