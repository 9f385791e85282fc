/** Figures of the scale-shift adjustment and of the paper's evaluation: numbers by hand from made-up data. */
import { describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/diffusion/image.js";
import { adjustmentMaps, errorByStep, evaluationChart, imageComparison } from "../../src/figures/index.js";
import type { ChartedAdjustment, EvaluationChartInput, PlotlyFigure } from "../../src/figures/index.js";
import { gallery } from "./gallery.js";

const flat = (value: number): RgbImage => ({ width: 16, height: 16, rgb: new Uint8Array(16 * 16 * 3).fill(value) });

const prompts = ["a red apple", "two white boats on a quiet sea at dawn"];
const comparison = {
  prompts,
  reference: { label: "without caching", images: [flat(100), flat(200)] },
  others: [
    { label: "cached", images: [flat(130), flat(170)], speedup: 1.52 },
    { label: "cached + scale-shift", images: [flat(110), flat(200)], speedup: 1.5 },
  ],
};

/** Two channels, four evaluations; scale 1 + (0.1, 0.3) and shift (−1, 0.5) where the block is reused. */
const adjusted = (id: string, reusedAt: readonly number[]): ChartedAdjustment => ({
  id,
  channels: 2,
  scale: Float32Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? 1.1 : 1.3)),
  shift: Float32Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? -1 : 0.5)),
  reusedAt,
});
const blocks = [adjusted("down_blocks.0.attentions.0", [1, 2]), adjusted("mid_block.attentions.0", [1, 2, 3])];

const table: EvaluationChartInput = {
  metrics: [
    { title: "Fréchet distance", better: "less", decimals: 2 },
    { title: "CLIP score", better: "more", decimals: 4 },
    { title: "images a second", better: "more", decimals: 2 },
    { title: "speed-up", better: "more", decimals: 2 },
  ],
  settings: [
    {
      label: "plain 20",
      solver: "dpmsolver++",
      steps: 20,
      values: {
        "Fréchet distance": { value: 4.32, low: 4.1, high: 4.6 },
        "CLIP score": { value: 0.2651, low: 0.261, high: 0.269 },
        "images a second": { value: 0.87 },
        "speed-up": { value: 1 },
      },
    },
    {
      label: "plain 14",
      solver: "dpmsolver++",
      steps: 14,
      values: { "Fréchet distance": { value: 4.66, low: 4.4, high: 4.9 }, "CLIP score": { value: 0.2621 } },
    },
    {
      label: "cached 20 + scale-shift",
      solver: "dpmsolver++",
      steps: 20,
      values: {
        "Fréchet distance": { value: 4.52, low: 4.3, high: 4.8 },
        "CLIP score": { value: 0.2675, low: 0.264, high: 0.271 },
        "images a second": { value: 1.26, low: 1.22, high: 1.29 },
        "speed-up": { value: 1.45, low: 1.41, high: 1.49 },
      },
    },
  ],
  reference: "plain 20",
};

const errors = [
  {
    label: "cached",
    distances: [
      [0, 0.1, 0.2, 0.2],
      [0, 0.3, 0.4, 0.6],
    ],
  },
  {
    label: "cached + scale-shift",
    distances: [
      [0, 0.1, 0.15, 0.15],
      [0, 0.3, 0.3, 0.45],
    ],
  },
];

const figures: Record<string, PlotlyFigure> = {
  "image comparison": await imageComparison(comparison),
  "adjustment maps": adjustmentMaps(blocks),
  "error with and without adjustment": errorByStep(errors),
  "evaluation table": evaluationChart(table),
};
const subtitleOf = (name: string): string =>
  (figures[name].layout.title as { subtitle: { text: string } }).subtitle.text;

describe("the image comparison", () => {
  it("has a row a setting, and below each its difference from the reference", () => {
    const { ticktext } = figures["image comparison"].layout.yaxis as { ticktext: string[] };
    expect(ticktext).toEqual([
      "without caching",
      "cached<br>1.52 × as fast",
      "|difference| × 4",
      "cached + scale-shift<br>1.50 × as fast",
      "|difference| × 4",
    ]);
    expect(figures["image comparison"].layout.images).toHaveLength(10);
  });
  it("says how far each picture is: a flat difference of 30 has 20 log₁₀(255 ÷ 30) dB", () => {
    const labels = (figures["image comparison"].layout.annotations as { text: string }[]).map(({ text }) => text);
    const decibels = (apart: number): string => `${(20 * Math.log10(255 / apart)).toFixed(1)} dB`;
    expect(labels).toEqual([decibels(30), decibels(30), decibels(10), "equal"]);
  });
});

describe("the adjustment maps", () => {
  const maps = figures["adjustment maps"].data.filter(({ showscale }) => showscale === undefined) as unknown as {
    z: (number | null)[][];
    zmin: number;
    zmax: number;
  }[];
  it("have the means over channels of scale − 1 and of shift, and nothing where a block computes", () => {
    const near = (value: number): unknown => expect.closeTo(value, 6);
    expect(maps[0].z).toEqual([
      [null, near(0.2), near(0.2), null],
      [null, near(0.2), near(0.2), near(0.2)],
    ]);
    expect(maps[1].z[0]).toEqual([null, near(-0.25), near(-0.25), null]);
  });
  it("have zero in the middle of their colours", () => {
    for (const { zmin, zmax } of maps) expect(zmin).toBe(-zmax);
  });
});

it("error by step says what is left of the first arm's error at the end", () => {
  // 0.15 + 0.45 of 0.2 + 0.6, and each trajectory says the same.
  expect(subtitleOf("error with and without adjustment")).toBe(
    "Mean of 2 trajectories, band: 95 %. After the last step, ÷ cached: cached + scale-shift 0.75 (0.75 to 0.75)",
  );
});

describe("the evaluation table", () => {
  const points = (title: string): Record<string, unknown> =>
    figures["evaluation table"].data.find(({ name }) => name === title) as Record<string, unknown>;
  it("has each number with its interval, the best of a column bold", () => {
    expect(points("Fréchet distance")).toMatchObject({
      x: [4.32, 4.66, 4.52],
      error_x: { array: [0.28, 0.24, 0.28].map((end) => expect.closeTo(end, 12) as number) },
    });
    const numbers = figures["evaluation table"].data.filter(({ mode }) => mode === "text").map(({ text }) => text);
    expect(numbers.slice(0, 2)).toEqual([
      ["<b>4.32</b>", "4.66", "4.52"],
      ["0.2651", "0.2621", "<b>0.2675</b>"],
    ]);
  });
  it("leaves out what was not measured", () => {
    expect(points("images a second")).toMatchObject({ x: [0.87, 1.26], y: [0, 2] });
  });
});

gallery(figures, ["print"]);
