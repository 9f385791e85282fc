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

/**
 * Error of cached trajectories after each step, the mean over trajectories with its 95 % interval as a band. The first
 * arm is what the others are compared with: plain caching beside caching with an adjustment or another reuse rule.
 */
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
    title: { text: title, subtitle: { text: atTheEnd(arms) } },
    height: 420,
    margin: { l: 64, r: 20, t: 76, b: 54 },
    legend: { x: 1.01, xanchor: "left", y: 1, yanchor: "top", tracegroupgap: 0 },
    xaxis: { title: { text: "step (network evaluation)" }, range: [0.5, last + 0.5] },
    yaxis: { title: { text: "relative distance of the latents to plain" }, ...ratioAxis(positive) },
  };
  return applyTheme({ data, layout }, theme);
}

/** What is left of the first arm's error after the last step, trajectory by trajectory. */
function atTheEnd([first, ...others]: readonly StepErrors[]): string {
  const last = ({ distances }: StepErrors): number[] =>
    distances.map((trajectory) => trajectory[trajectory.length - 1]);
  const ratios = others
    .filter(({ distances }) => distances.length === first.distances.length)
    .map((arm) => {
      const { ratio, low, high } = pairedRatio(last(arm), last(first));
      return `${arm.label} ${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
    });
  const means = `Mean of ${first.distances.length} trajectories, band: 95 %`;
  return ratios.length === 0 ? means : `${means}. After the last step, ÷ ${first.label}: ${ratios.join("; ")}`;
}
