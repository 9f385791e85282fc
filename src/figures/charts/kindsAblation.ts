import type { RgbImage } from "../../diffusion/image.js";
import { pairedRatio } from "../../quality/pairedRatio.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { imageStrips } from "./imageStrips.js";
import { pictureUri } from "./pictureUri.js";
import { CATEGORICAL_COLOURS, applyTheme } from "../theme.js";
import type { Theme } from "../theme.js";

/** The same prompts and seeds with some kinds of block cached. */
export interface KindsArm {
  /** "spatial transformers", "ResNet blocks" */
  readonly label: string;
  /** one per prompt shown */
  readonly images: readonly RgbImage[];
  /** relative distance of the final latents to the plain run's, one per trajectory measured */
  readonly distances: readonly number[];
  /** share of these blocks' evaluations that computed, 0 to 1 */
  readonly computedShare: number;
  /** plain seconds ÷ this arm's */
  readonly speedup: number;
}

export interface KindsAblationInput {
  readonly prompts: readonly string[];
  /** the plain run's pictures, one per prompt */
  readonly plain: readonly RgbImage[];
  readonly arms: readonly KindsArm[];
  readonly theme?: Theme;
}

/** Width in pixels of the distances beside the pictures, and of the gap between the two. */
const DISTANCES = 250;
const GAP = 24;
/** Pixels below the distances, for their axis and its title. */
const AXIS = 48;

interface Margin {
  readonly l: number;
  readonly r: number;
  readonly b: number;
}

/**
 * The paper's Figure 8: what happens to the pictures when only some kinds of block are cached, at the same
 * share of computed evaluations. Beside them the distance to the plain run, with the 95 % interval of its
 * mean over trajectories.
 */
export async function kindsAblation({
  prompts,
  plain,
  arms,
  theme = "light",
}: KindsAblationInput): Promise<PlotlyFigure> {
  const rows = await Promise.all(
    [
      { label: "plain", images: plain },
      ...arms.map(({ label, images, computedShare, speedup }) => ({
        label: `${label}<br>${(100 * computedShare).toFixed(0)} % computed, ${speedup.toFixed(2)} ×`,
        images,
      })),
    ].map(async ({ label, images }) => ({
      label,
      images: await Promise.all(images.map(pictureUri)),
    })),
  );
  const strips = imageStrips({
    rows,
    columns: prompts.map((prompt) => ({ label: prompt, hover: prompt })),
    columnTitle: "",
    title: "Which kinds of block can be cached",
    theme,
  });
  const means = arms.map(({ distances }) =>
    pairedRatio(
      distances,
      distances.map(() => 1),
    ),
  );
  const points: PlotlyObject = {
    type: "scatter",
    mode: "markers",
    xaxis: "x2",
    yaxis: "y",
    x: means.map(({ ratio }) => ratio),
    // Row 0 is the plain run, whose distance is 0.
    y: arms.map((_, row) => row + 1.5),
    marker: { color: CATEGORICAL_COLOURS[0], size: 11 },
    error_x: {
      type: "data",
      symmetric: false,
      array: means.map(({ ratio, high }) => high - ratio),
      arrayminus: means.map(({ ratio, low }) => ratio - low),
      thickness: 2,
      width: 5,
    },
    customdata: arms.map(({ label, distances }, row) => [label, distances.length, means[row].low, means[row].high]),
    hovertemplate:
      "<b>%{customdata[0]}</b><br>%{x:.4f} (%{customdata[2]:.4f} to %{customdata[3]:.4f}), mean of %{customdata[1]}<extra></extra>",
    showlegend: false,
  };
  const { width, height, margin } = strips.layout as { width: number; height: number; margin: Margin };
  const bottom = Math.max(margin.b, AXIS);
  const pictures = width - margin.l - margin.r;
  const plot = pictures + GAP + DISTANCES;
  const layout: PlotlyObject = {
    ...strips.layout,
    width: margin.l + plot + margin.r + 10,
    height: height + bottom - margin.b,
    margin: { ...margin, b: bottom },
    xaxis: { ...(strips.layout.xaxis as PlotlyObject), domain: [0, pictures / plot] },
    xaxis2: {
      domain: [(pictures + GAP) / plot, 1],
      anchor: "y",
      title: { text: "relative distance of the latents to plain" },
      range: [0, 1.08 * Math.max(...means.map(({ high }) => high))],
    },
  };
  return applyTheme({ ...strips, data: [...strips.data, points], layout }, theme);
}
