import { pairedRatio } from "../../quality/pairedRatio.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { ratioAxis } from "./ratioAxis.js";
import { CATEGORICAL_COLOURS, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

/** How far a cached trajectory is from the plain one after each step. */
export interface StepErrors {
  readonly label: string;
  /** relative distance of the latents [trajectories][steps] */
  readonly distances: readonly (readonly number[])[];
}

export interface ErrorByStepOptions {
  readonly title?: string;
  readonly theme?: Theme;
}

/** Error of cached trajectories after each step, the mean over trajectories with its 95 % interval as a band. */
export function errorByStep(
  arms: readonly StepErrors[],
  { title = "How the error grows along the trajectory", theme = "light" }: ErrorByStepOptions = {},
): PlotlyFigure {
  const curves = arms.map(({ label, distances }, index) => {
    const steps = [...(distances[0] ?? []).keys()];
    const means = steps.map((step) =>
      pairedRatio(
        distances.map((trajectory) => trajectory[step]),
        distances.map(() => 1),
      ),
    );
    return {
      label,
      colour: CATEGORICAL_COLOURS[index % CATEGORICAL_COLOURS.length],
      steps: steps.map((step) => step + 1),
      means,
    };
  });
  // The first step computes everything: its error is 0, which a logarithm cannot show.
  const positive = curves
    .flatMap(({ means }) => means.flatMap(({ low, high }) => [low, high]))
    .filter((value) => value > 0);
  const data = curves.flatMap(({ label, colour, steps, means }): PlotlyObject[] => {
    const shown = steps.filter((_, index) => means[index].low > 0);
    const at = shown.map((step) => means[step - 1]);
    return [
      {
        type: "scatter",
        mode: "lines",
        name: label,
        legendgroup: label,
        x: [...shown, ...[...shown].reverse()],
        y: [...at.map(({ high }) => high), ...at.map(({ low }) => low).reverse()],
        fill: "toself",
        fillcolor: `${colour}22`,
        line: { width: 0 },
        hoverinfo: "skip",
        showlegend: false,
      },
      {
        type: "scatter",
        mode: "lines+markers",
        name: label,
        legendgroup: label,
        x: shown,
        y: at.map(({ ratio }) => ratio),
        line: { color: colour, width: 2 },
        marker: { size: 5 },
        hovertemplate: `<b>${label}</b><br>after step %{x}: %{y:.4f}<extra></extra>`,
      },
    ];
  });
  const last = Math.max(...curves.map(({ steps }) => steps.length));
  const layout = {
    title: { text: title },
    height: 400,
    margin: { l: 64, r: 20, t: 50, b: 54 },
    legend: { x: 0.99, xanchor: "right", y: 0.02, yanchor: "bottom" },
    xaxis: { title: { text: "step (network evaluation)" }, range: [0.5, last + 0.5] },
    yaxis: { title: { text: "relative distance of the latents to plain" }, ...ratioAxis(positive) },
  };
  return applyTheme({ data, layout }, theme);
}
