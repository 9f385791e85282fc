import type { DistanceMeasure } from "../../study/compare.js";
import type { StudyResult } from "../../study/result.js";
import type { Verdict } from "../../study/table.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { ratioAxis } from "./ratioAxis.js";
import { seriesOf } from "./series.js";
import { DISTANCE_TITLES, studyPoints } from "./studyPoints.js";
import type { StudyPoint } from "./studyPoints.js";
import { NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface ParetoOptions {
  /** Default: latent, the relative distance of the final latents */
  readonly measure?: DistanceMeasure;
  /** 95 % intervals of the mean over trajectories, and the range of the times. Default: off */
  readonly intervals?: boolean;
  readonly theme?: Theme;
}

const HEIGHT = 460;
const LEGEND_ROW = 20;
const DOMINATED_OPACITY = 0.45;

/**
 * Error against time of every arm of a study, the error measured from the near-converged solution. The plain
 * runs with fewer steps are the line to beat; an arm that another one beats in both is faint, and the others
 * are joined by the front.
 */
export function pareto(
  study: StudyResult,
  { measure = "latent", intervals = false, theme = "light" }: ParetoOptions = {},
): PlotlyFigure {
  const points = studyPoints(study, measure);
  const byTime = (a: StudyPoint, b: StudyPoint): number => a.time - b.time;
  const plain = points.filter(({ cached }) => cached === undefined).sort(byTime);
  const series = seriesOf(points);
  const hover = (point: StudyPoint): string => describe(point, study.steps, measure);
  const errorBars = (members: readonly StudyPoint[], colour: string): PlotlyObject =>
    intervals ? bars(members, colour) : {};

  const data: PlotlyObject[] = [
    {
      type: "scatter",
      mode: "lines",
      name: "front: nothing is faster and better",
      ...coordinates(points.filter(({ onFront }) => onFront).sort(byTime)),
      line: { color: NEUTRAL_COLOUR, width: 7, shape: "hv" },
      opacity: 0.35,
      hoverinfo: "skip",
    },
    {
      type: "scatter",
      mode: "lines+markers+text",
      name: "plain, fewer steps",
      ...coordinates(plain),
      line: { color: NEUTRAL_COLOUR, width: 2 },
      marker: { color: NEUTRAL_COLOUR, size: 9, symbol: "square" },
      text: plain.map(({ steps }) => String(steps)),
      textposition: "bottom left",
      textfont: { size: 10 },
      hovertext: plain.map(hover),
      hovertemplate: "%{hovertext}<extra></extra>",
      ...errorBars(plain, NEUTRAL_COLOUR),
    },
    ...series.flatMap(({ heuristic, variant, colour, symbol, points: members }): PlotlyObject[] => {
      const name = `${heuristic}: ${variant}`;
      const marker = { color: colour, symbol, size: 10, line: { width: symbol.endsWith("-open") ? 1.8 : 0 } };
      return [
        {
          type: "scatter",
          mode: "markers+text",
          name,
          legendgroup: name,
          showlegend: false,
          ...coordinates(members),
          marker: { ...marker, opacity: members.map(({ onFront }) => (onFront ? 1 : DOMINATED_OPACITY)) },
          text: members.map(({ onFront, cached }) => (onFront ? String(cached.parameter ?? "") : "")),
          textposition: "top right",
          textfont: { size: 10 },
          hovertext: members.map(hover),
          hovertemplate: "%{hovertext}<extra></extra>",
          ...errorBars(members, `${colour}88`),
        },
        // The legend takes the first point's opacity, which may be faint.
        { type: "scatter", mode: "markers", name, legendgroup: name, x: [null], y: [null], marker },
      ];
    }),
  ];
  const layout: PlotlyObject = {
    title: {
      text: `Error against time: distance from the ${study.converged_steps}-step solution`,
      subtitle: { text: summary(points) },
    },
    height: Math.max(HEIGHT, 140 + LEGEND_ROW * (2 + series.length)),
    margin: { l: 64, r: 20, t: 70, b: 54 },
    hovermode: "closest",
    legend: { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 0 },
    xaxis: {
      title: { text: `time of a run ÷ that of plain ${study.steps} steps (${study.solver}, batch of ${study.batch})` },
      ...ratioAxis(points.map(({ time }) => time)),
    },
    yaxis: { title: { text: DISTANCE_TITLES[measure] }, ...ratioAxis(points.map(({ distance }) => distance)) },
  };
  return applyTheme({ data, layout }, theme);
}

function coordinates(points: readonly StudyPoint[]): { x: number[]; y: number[] } {
  return { x: points.map(({ time }) => time), y: points.map(({ distance }) => distance) };
}

function bars(points: readonly StudyPoint[], color: string): PlotlyObject {
  const style = { type: "data", symmetric: false, thickness: 1, width: 2, color };
  return {
    error_x: {
      ...style,
      array: points.map(({ time, timeRange }) => timeRange[1] - time),
      arrayminus: points.map(({ time, timeRange }) => time - timeRange[0]),
    },
    error_y: {
      ...style,
      array: points.map(({ distance, interval }) => interval.high - distance),
      arrayminus: points.map(({ distance, interval }) => distance - interval.low),
    },
  };
}

function describe(
  { name, seconds, speedup, distance, interval, atEqualLatency, cached, computedShare }: StudyPoint,
  steps: number,
  measure: DistanceMeasure,
): string {
  return [
    `<b>${name}</b>`,
    `${(1000 * seconds).toFixed(0)} ms an image, ${speedup.toFixed(2)} × as fast as plain ${steps}`,
    `${DISTANCE_TITLES[measure]}: ${distance.toPrecision(3)} (${interval.low.toPrecision(3)} to ${interval.high.toPrecision(3)})`,
    ...(atEqualLatency === undefined ? [] : [`÷ plain's of equal time: ${ratio(atEqualLatency)}`]),
    ...(cached === undefined
      ? []
      : [`${(100 * computedShare).toFixed(0)} % of the scheduled blocks' evaluations compute`]),
  ].join("<br>");
}

/** The figure in a line: how many cached arms do better than plain sampling that takes as long. */
function summary(points: readonly StudyPoint[]): string {
  const verdicts = points.flatMap(({ verdict }) => verdict ?? []);
  const count = (wanted: Verdict): number => verdicts.filter((each) => each === wanted).length;
  const [better, worse, even] = [count("better"), count("worse"), count("even")];
  if (better + worse + even === 0) return "No cached arm lies within the plain runs' times";
  const arms = better + worse + even === 1 ? "1 cached arm" : `${better + worse + even} cached arms`;
  return `Of ${arms}, nearer than plain sampling of equal time: ${better}; farther: ${worse}; not to be told apart (95 %): ${even}`;
}

function ratio({ ratio: middle, low, high }: { ratio: number; low: number; high: number }): string {
  return `${middle.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}
