import type { BlockMapEntry } from "../../instrument/blockMap.js";
import type { PlotlyFigure, PlotlyObject } from "../figure.js";
import { FONT_SIZE, NEUTRAL_COLOUR, applyTheme, colourScale, sequentialColour } from "../theme.js";
import type { Theme } from "../theme.js";

export interface BlockMapChartOptions {
  readonly title?: string;
  readonly theme?: Theme;
}

/** A block's place: its column from the left, and its depth, the level it works at. */
interface Place {
  readonly entry: BlockMapEntry;
  readonly x: number;
  readonly y: number;
}

const KIND_LETTERS: Readonly<Record<string, string>> = {
  conv_in: "in",
  conv_out: "out",
  resnet: "R",
  transformer: "T",
  downsampler: "↓",
  upsampler: "↑",
};
/** Narrow boxes hold one letter, or a short word in small letters. */
const LETTER_SIZES = { one: 11, more: 8 };
const BOX = { width: 0.86, height: 0.62 };

/**
 * A drawing of the UNet, encoder on the left, mid block at the bottom, decoder on the right; each block
 * coloured by its share of time (of multiply-adds where no seconds were measured).
 */
export function blockMapChart(blocks: readonly BlockMapEntry[], options: BlockMapChartOptions = {}): PlotlyFigure {
  const entries = blocks.filter(({ inside }) => inside === undefined);
  const timed = entries.every(({ seconds }) => seconds !== undefined);
  const weight = (entry: BlockMapEntry): number => (timed ? (entry.seconds ?? 0) : entry.multiplyAdds);
  const total = entries.reduce((sum, entry) => sum + weight(entry), 0);
  const places = arrange(entries);
  const largest = Math.max(...entries.map((entry) => weight(entry) / total));
  const share = (entry: BlockMapEntry): number => weight(entry) / total;

  const shapes = places.map(({ entry, x, y }) => ({
    type: "rect",
    x0: x - BOX.width / 2,
    x1: x + BOX.width / 2,
    y0: y - BOX.height / 2,
    y1: y + BOX.height / 2,
    fillcolor: sequentialColour(share(entry) / largest),
    line: { width: 0.5 },
    layer: "below",
  }));
  const letters = places.map(({ entry, x, y }) => ({
    text: `<b>${lettersOf(entry)}</b>`,
    x,
    y,
    showarrow: false,
    font: { size: letterSize(entry), color: share(entry) / largest > 0.6 ? "#000000" : "#ffffff" },
  }));
  const skips: PlotlyObject[] = levelsOf(places).flatMap(({ depth, left, right }) =>
    left === undefined || right === undefined
      ? []
      : [
          {
            type: "scatter",
            mode: "lines+markers",
            x: [left + 0.8, right - 0.8],
            y: [depth, depth],
            line: { color: NEUTRAL_COLOUR, width: 1.2, dash: "dot" },
            marker: { color: NEUTRAL_COLOUR, size: 8, symbol: ["circle", "triangle-right"] },
            hoverinfo: "skip",
            showlegend: false,
          },
        ],
  );
  const resolutions = levelsOf(places).map(({ depth, resolution }) => ({
    text: resolution,
    x: -1,
    y: depth,
    showarrow: false,
    xanchor: "right",
    font: { size: 11 },
  }));
  const points: PlotlyObject = {
    type: "scatter",
    mode: "markers",
    x: places.map(({ x }) => x),
    y: places.map(({ y }) => y),
    marker: {
      opacity: 0,
      size: 22,
      color: places.map(({ entry }) => 100 * share(entry)),
      cmin: 0,
      cmax: 100 * largest,
      colorscale: colourScale(sequentialColour),
      showscale: true,
      colorbar: {
        title: {
          text: timed ? "share of time, %" : "share of multiply-adds, %",
          side: "right",
          font: { size: FONT_SIZE },
        },
        thickness: 14,
      },
    },
    text: places.map(({ entry }) => hover(entry, share(entry), timed)),
    hovertemplate: "%{text}<extra></extra>",
    showlegend: false,
  };
  const depths = levelsOf(places).length;
  const hidden = { showgrid: false, showline: false, zeroline: false, ticks: "", showticklabels: false };
  const layout: PlotlyObject = {
    title: { text: options.title ?? "Blocks of the UNet: R ResNet block, T spatial transformer, ↓ ↑ sampler" },
    height: 150 + 84 * depths,
    margin: { l: 70, r: 20, t: 50, b: 20 },
    xaxis: { ...hidden, range: [-1, Math.max(...places.map(({ x }) => x)) + 0.8] },
    yaxis: { ...hidden, range: [-depths + 0.3, 0.7] },
    shapes,
    annotations: [...resolutions, ...letters],
  };
  return applyTheme({ data: [...skips, points], layout }, options.theme ?? "light");
}

function lettersOf({ kind }: BlockMapEntry): string {
  return KIND_LETTERS[kind] ?? kind;
}

function letterSize(entry: BlockMapEntry): number {
  return lettersOf(entry).length > 1 ? LETTER_SIZES.more : LETTER_SIZES.one;
}

/** Columns follow the order of execution; a level's depth is the rank of its resolution, the mid block's one more. */
function arrange(entries: readonly BlockMapEntry[]): Place[] {
  const resolutions = [...new Set(entries.map(({ resolution }) => resolution.join(" × ")))].sort(
    (a, b) => parseInt(b) - parseInt(a),
  );
  const depthOf = (entry: BlockMapEntry): number =>
    entry.id.startsWith("mid_block") ? resolutions.length : resolutions.indexOf(entry.resolution.join(" × "));
  return entries.map((entry, index) => ({ entry, x: index, y: -depthOf(entry) }));
}

interface LevelEnds {
  readonly depth: number;
  readonly resolution: string;
  /** last column of the encoder and first of the decoder at this level */
  readonly left?: number;
  readonly right?: number;
}

function levelsOf(places: readonly Place[]): LevelEnds[] {
  return [...new Set(places.map(({ y }) => y))]
    .sort((a, b) => b - a)
    .map((depth) => {
      const row = places.filter(({ y }) => y === depth);
      const encoder = row.filter(({ entry }) => entry.id.startsWith("down_blocks") || entry.id === "conv_in");
      const decoder = row.filter(({ entry }) => entry.id.startsWith("up_blocks"));
      return { depth, resolution: row[0].entry.resolution.join(" × "), left: encoder.at(-1)?.x, right: decoder[0]?.x };
    });
}

function hover(entry: BlockMapEntry, share: number, timed: boolean): string {
  const lines = [
    `<b>${entry.id}</b> (${entry.kind})`,
    `C: ${entry.shape.join(" × ")}, ${(entry.bytes / 1024).toFixed(0)} KiB a row`,
    `${entry.parameters.toLocaleString("en")} parameters, ${(entry.multiplyAdds / 1e6).toFixed(1)} M multiply-adds`,
    `${(100 * share).toFixed(1)} % of ${timed ? "the time" : "all multiply-adds"}`,
  ];
  if (entry.seconds !== undefined) lines.push(`${(1000 * entry.seconds).toFixed(2)} ms`);
  return lines.join("<br>");
}
