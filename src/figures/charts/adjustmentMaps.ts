import { IDENTITY } from "../../caching/adjustment/adjustment.js";
import type { Adjustment } from "../../caching/adjustment/adjustment.js";
import type { Schedule } from "../../caching/schedule/schedule.js";
import { mean } from "../../instrument/profile/statistics.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { NEUTRAL_COLOUR, applyTheme, colourScale, divergingColour } from "../theme.js";
import type { Theme } from "../theme.js";

/** A block's scale-shift adjustment: where it is reused, `scale ⊙ C + shift` stands in. */
export interface ChartedAdjustment {
  readonly id: string;
  readonly channels: number;
  /** [evaluations, channels], row-major */
  readonly scale: ArrayLike<number>;
  /** [evaluations, channels], row-major, in units of C */
  readonly shift: ArrayLike<number>;
  /** 0-based evaluations at which the block is reused: the others need no adjustment */
  readonly reusedAt: readonly number[];
}

/**
 * An adjustment's scale and shift as {@link adjustmentMaps} draws them, in the order of the network; both guidance halves,
 * where each has its own.
 */
export function chartedAdjustments(
  { blocks, halves, schedule: { timesteps } }: Adjustment,
  schedule: Pick<Schedule, "blocks">,
): ChartedAdjustment[] {
  // Down, mid, up, and by number: the order in which they run.
  const inOrder = Object.entries(blocks).sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }));
  return inOrder.map(([id, { channels, terms }]) => {
    const width = halves * channels;
    const table = (term: "scale" | "shift"): ArrayLike<number> =>
      terms[term] ?? new Float32Array(timesteps.length * width).fill(IDENTITY[term]);
    const reusedAt = [...timesteps.keys()].filter((evaluation) => !schedule.blocks[id].includes(evaluation));
    return { id, channels: width, scale: table("scale"), shift: table("shift"), reusedAt };
  });
}

export interface AdjustmentMapsOptions {
  readonly title?: string;
  readonly theme?: Theme;
}

const ROW_HEIGHT = 18;
const MARGIN = { l: 190, r: 20, t: 92, b: 50 };
/** Domains of the two maps; beside each is its colour bar. */
const PANELS = [
  { name: "scale − 1", title: "mean over channels of scale − 1", domain: [0, 0.43], bar: 0.435 },
  { name: "shift", title: "mean over channels of shift, units of C", domain: [0.55, 0.98], bar: 0.985 },
] as const;

/**
 * Scale and shift as heat maps: one row per block, one column per evaluation, means over the channels. Grey: the block
 * computes; white: the reused value is left as it is.
 */
export function adjustmentMaps(
  blocks: readonly ChartedAdjustment[],
  { title = "What the adjustment does to each reused block", theme = "light" }: AdjustmentMapsOptions = {},
): PlotlyFigure {
  const evaluations = Math.max(...blocks.map(({ channels, scale }) => scale.length / channels));
  const columns = Array.from({ length: evaluations }, (_, evaluation) => evaluation);
  const maps = [valuesOf(({ scale }) => scale, 1), valuesOf(({ shift }) => shift, 0)];
  const data = PANELS.flatMap(({ name, bar }, index): PlotlyObject[] => {
    const suffix = index === 0 ? "" : "2";
    const z = maps[index];
    const largest = Math.max(...z.flat().map((value) => Math.abs(value ?? 0))) || 1;
    const shared = {
      type: "heatmap",
      xaxis: `x${suffix}`,
      yaxis: "y",
      x: columns.map((evaluation) => evaluation + 1),
      y: blocks.map(({ id }) => id),
      xgap: 1,
      ygap: 1,
    };
    // Opaque: heat maps that let the page shine through look different in each renderer.
    const computes = NEUTRAL_COLOUR;
    return [
      {
        ...shared,
        z: z.map((row) => row.map((value) => (value === null ? 1 : null))),
        colorscale: [
          [0, computes],
          [1, computes],
        ],
        showscale: false,
        hovertemplate: "<b>%{y}</b><br>step %{x}: computes<extra></extra>",
        hoverongaps: false,
      },
      {
        ...shared,
        z,
        zmin: -largest,
        zmax: largest,
        colorscale: colourScale(divergingColour),
        colorbar: { x: bar, xanchor: "left", thickness: 12 },
        hovertemplate: `<b>%{y}</b><br>step %{x}, ${name}: %{z:.4f}<extra></extra>`,
        hoverongaps: false,
      },
    ];
  });
  const axis = {
    title: { text: "step (network evaluation)" },
    dtick: evaluations > 25 ? 5 : 2,
    tick0: evaluations > 25 ? 0 : 1,
    showgrid: false,
  };
  const layout: PlotlyObject = {
    title: { text: title, subtitle: { text: "Grey: the block computes; white: its last value is reused as it is" } },
    height: MARGIN.t + MARGIN.b + Math.max(120, ROW_HEIGHT * blocks.length),
    margin: MARGIN,
    xaxis: { ...axis, domain: PANELS[0].domain },
    xaxis2: { ...axis, domain: PANELS[1].domain, anchor: "y" },
    yaxis: { autorange: "reversed", tickfont: { size: 10 }, showgrid: false, dtick: 1 },
    annotations: PANELS.map((panel) => ({
      text: `<b>${panel.title}</b>`,
      x: panel.domain[0],
      xanchor: "left",
      xref: "paper",
      y: 1,
      yref: "paper",
      yanchor: "bottom",
      showarrow: false,
    })),
  };
  return applyTheme({ data, layout }, theme);

  /** Mean over the channels, minus the number that leaves a value as it is; null where the block computes. */
  function valuesOf(of: (block: ChartedAdjustment) => ArrayLike<number>, neutral: number): (number | null)[][] {
    return blocks.map((block) =>
      columns.map((evaluation) =>
        block.reusedAt.includes(evaluation)
          ? mean(
              Array.from({ length: block.channels }, (_, channel) => of(block)[evaluation * block.channels + channel]),
            ) - neutral
          : null,
      ),
    );
  }
}
