import type { StudyResult } from "../study/result.js";
import type { PlotlyFigure, PlotlyObject } from "./figure.js";
import { ratioAxis } from "./logAxis.js";
import { seriesOf } from "./series.js";
import type { Series } from "./series.js";
import { ERROR_TITLES, paretoFront, plainErrorAt, plainSeconds, referenceTitle, studyPoints } from "./studyPoints.js";
import type { ErrorMeasure, Reference, StudyPoint } from "./studyPoints.js";
import { NEUTRAL_COLOUR, applyTheme } from "./theme.js";
import type { Theme } from "./theme.js";

export interface ParetoOptions {
  /** Default: latent, the relative distance of the final latents */
  readonly measure?: ErrorMeasure;
  /** Default: converged */
  readonly reference?: Reference;
  /** 95 % intervals of the mean over trajectories, and the range of the seconds. Default: off */
  readonly intervals?: boolean;
  readonly theme?: Theme;
}

const HEIGHT = 460;
const LEGEND_ROW = 20;
const DOMINATED_OPACITY = 0.45;

/**
 * Error against time of every arm of a study. The plain runs with fewer steps are the line to beat; an arm
 * that another one beats in both is faint, and the others are joined by the front.
 */
export function pareto(study: StudyResult, options: ParetoOptions = {}): PlotlyFigure {
  const { measure = "latent", reference = "converged", intervals = false, theme = "light" } = options;
  const { axis, better, name } = ERROR_TITLES[measure];
  const points = studyPoints(study, measure, reference);
  const plain = points.filter(({ cached }) => cached === undefined).sort((a, b) => a.seconds - b.seconds);
  const series = seriesOf(points);
  const front = new Set(paretoFront(points, better));
  const hover = (point: StudyPoint): string => describe(point, points, { study, measure });
  const errorBars = (members: readonly StudyPoint[], colour: string): PlotlyObject => (intervals ? bars(members, colour) : {});

  const data: PlotlyObject[] = [
    {
      type: "scatter",
      mode: "lines",
      name: "front: nothing is faster and better",
      ...coordinates([...front]),
      line: { color: NEUTRAL_COLOUR, width: 7, shape: better === "lower" ? "hv" : "vh" },
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
      textposition: better === "lower" ? "bottom left" : "top left",
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
          marker: { ...marker, opacity: members.map((point) => (front.has(point) ? 1 : DOMINATED_OPACITY)) },
          text: members.map((point) => (front.has(point) ? String(point.cached.parameter ?? "") : "")),
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
  const legend = LEGEND_ROW * (2 + series.length);
  const layout: PlotlyObject = {
    title: { text: `${capital(name)} from ${referenceTitle(study, reference)}, against time`, subtitle: { text: verdict(points, series, { measure, better }) } },
    height: Math.max(HEIGHT, 100 + legend),
    margin: { l: 64, r: 20, t: 70, b: 54 },
    hovermode: "closest",
    legend: { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 0 },
    xaxis: { title: { text: `seconds an image (${study.solver}, batch of ${study.batch})` }, ...ratioAxis(points.map(({ seconds }) => seconds)) },
    yaxis: { title: { text: axis }, ...(measure === "latent" ? ratioAxis(points.map(({ error }) => error)) : {}) },
  };
  return applyTheme({ data, layout }, theme);
}

function coordinates(points: readonly StudyPoint[]): { x: number[]; y: number[] } {
  return { x: points.map(({ seconds }) => seconds), y: points.map(({ error }) => error) };
}

function bars(points: readonly StudyPoint[], color: string): PlotlyObject {
  const around = (middle: (point: StudyPoint) => number, range: (point: StudyPoint) => readonly [number, number]): PlotlyObject => ({
    type: "data",
    symmetric: false,
    array: points.map((point) => range(point)[1] - middle(point)),
    arrayminus: points.map((point) => middle(point) - range(point)[0]),
    thickness: 1,
    width: 2,
    color,
  });
  return { error_x: around(({ seconds }) => seconds, ({ secondsRange }) => secondsRange), error_y: around(({ error }) => error, ({ errorRange }) => errorRange) };
}

function describe(point: StudyPoint, points: readonly StudyPoint[], { study, measure }: { study: StudyResult; measure: ErrorMeasure }): string {
  const equal = point.cached === undefined ? undefined : plainErrorAt(points, point.seconds, measure);
  const [low, high] = point.errorRange;
  return [
    `<b>${point.name}</b>`,
    `${(1000 * point.seconds).toFixed(0)} ms an image, ${(plainSeconds(study) / point.seconds).toFixed(2)} × plain ${study.steps}`,
    `${ERROR_TITLES[measure].axis}: ${point.error.toPrecision(3)} (${low.toPrecision(3)} to ${high.toPrecision(3)})`,
    ...(equal === undefined ? [] : [`plain at this time: ${equal.toPrecision(3)}, ratio ${(point.error / equal).toFixed(2)}`]),
    ...(point.cached === undefined ? [] : [`${(100 * point.computedShare).toFixed(0)} % of the scheduled blocks' evaluations compute`]),
  ].join("<br>");
}

/** The figure in a line: how many cached arms do better than plain runs of the same time. */
function verdict(points: readonly StudyPoint[], series: readonly Series[], { measure, better }: { measure: ErrorMeasure; better: "lower" | "higher" }): string {
  const compared = series.flatMap(({ points: members }) => members).flatMap((point) => {
    const equal = plainErrorAt(points, point.seconds, measure);
    return equal === undefined ? [] : [better === "lower" ? point.error < equal : point.error > equal];
  });
  if (compared.length === 0) return "No cached arm lies within the plain runs' times";
  return `${compared.filter(Boolean).length} of ${compared.length} cached arms are better than the plain line at their own time`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
