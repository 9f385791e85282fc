import { ArgumentError } from "../../errors.js";
import { median } from "../../instrument/profile/statistics.js";
import type { StudyResult } from "../../study/result.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { seriesOf } from "./series.js";
import { studyPoints } from "./studyPoints.js";
import type { StudyPoint } from "./studyPoints.js";
import { NEUTRAL_COLOUR, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

export interface SpeedupScatterOptions {
  readonly theme?: Theme;
}

/**
 * Speed-up as the cost model predicted it, against the measured one; on the line the two are equal.
 *
 * @throws ArgumentError where no arm of the study has a prediction
 */
export function speedupScatter(study: StudyResult, { theme = "light" }: SpeedupScatterOptions = {}): PlotlyFigure {
  const predicted = ({ predictedSpeedup }: StudyPoint): number => predictedSpeedup ?? NaN;
  const points = studyPoints(study, "latent").filter(
    ({ cached, predictedSpeedup }) => cached !== undefined && predictedSpeedup !== undefined,
  );
  if (points.length === 0) throw new ArgumentError("study: no arm has a predicted speed-up — run it with costs");
  const ends = points.flatMap((point) => [predicted(point), ...point.timeRange.map((time) => 1 / time)]);
  const range = [Math.min(1, ...ends) - 0.05, Math.max(...ends) + 0.08];
  const apart = median(points.map((point) => point.speedup / predicted(point)));
  const data: PlotlyObject[] = [
    {
      type: "scatter",
      mode: "lines",
      name: "predicted = realised",
      x: range,
      y: range,
      line: { color: NEUTRAL_COLOUR, width: 1.5, dash: "dash" },
      hoverinfo: "skip",
    },
    ...seriesOf(points).map(({ heuristic, variant, colour, symbol, points: members }) => ({
      type: "scatter",
      mode: "markers",
      name: `${heuristic}: ${variant}`,
      legendgroup: heuristic,
      x: members.map(predicted),
      y: members.map(({ speedup }) => speedup),
      error_y: {
        type: "data",
        symmetric: false,
        array: members.map(({ speedup, timeRange }) => 1 / timeRange[0] - speedup),
        arrayminus: members.map(({ speedup, timeRange }) => speedup - 1 / timeRange[1]),
        thickness: 1,
        width: 2,
      },
      marker: { color: colour, symbol, size: 9, opacity: 0.85 },
      text: members.map(({ name }) => name),
      hovertemplate: "<b>%{text}</b><br>predicted %{x:.2f} ×, realised %{y:.2f} ×<extra></extra>",
    })),
  ];
  const layout = {
    title: {
      text: "Speed-up, predicted against realised",
      subtitle: {
        text: `Half of the ${points.length} schedules reach ${(100 * apart).toFixed(0)} % of their prediction or more`,
      },
    },
    height: 460,
    margin: { l: 64, r: 20, t: 70, b: 54 },
    legend: { x: 1.01, xanchor: "left", y: 1, tracegroupgap: 6 },
    xaxis: { title: { text: "predicted from the blocks' costs, × plain" }, range },
    yaxis: { title: { text: `realised, × plain ${study.steps} steps` }, range },
  };
  return applyTheme({ data, layout }, theme);
}
