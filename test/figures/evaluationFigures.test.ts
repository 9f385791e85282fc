/** Figures of the scale-shift adjustment and of the paper's evaluation: numbers by hand from made-up data. */
import { describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/diffusion/image.js";
import { adjustmentMaps, errorByStep, evaluationChart, imageComparison, tableOne } from "../../src/figures/index.js";
import type { ChartedAdjustment, EvaluationChartInput, PlotlyFigure } from "../../src/figures/index.js";
import type { EvaluatedSetting, Evaluation } from "../../src/study/evaluation/index.js";
import type { Arm } from "../../src/study/result.js";
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

const estimate = (value: number, width = 0.1) => ({ value, low: value - width, high: value + width });
const cached: NonNullable<Arm["cached"]> = {
  schedule: {
    format: "blockcache-schedule",
    version: 1,
    model: { fingerprint: "sha256:0", name: "made up" },
    solver: "dpmsolver++",
    num_inference_steps: 20,
    timesteps: Array.from({ length: 20 }, (_, index) => 999 - 50 * index),
    guidance_scale: 5,
    heuristic: { name: "threshold", delta: 0.2 },
    blocks: { "mid_block.attentions.0": [0] },
  },
  reuse: "hold",
  kinds: "transformers",
};
const evaluated = (
  name: string,
  steps: number,
  [frechet, clip, speed]: readonly [number, number, number],
  changes: Pick<Arm, "cached"> = {},
): EvaluatedSetting => ({
  arm: { name, solver: "dpmsolver++", steps, ...changes },
  images_per_second: estimate(0.87 * speed, 0.02),
  speedup: estimate(speed, 0.03),
  multiply_adds: 1e9,
  metrics: { frechet: estimate(frechet), "clip-score": estimate(clip, 0.002) },
});
const evaluation: Evaluation = {
  format: "blockcache-evaluation",
  version: 1,
  sampling: {
    model: { fingerprint: "sha256:0", name: "made up" },
    timestep_spacing: "trailing",
    guidance_scale: 5,
    negative_prompt: null,
    latent_size: [24, 24],
    batch: 4,
  },
  machines: ["a machine"],
  trajectories: [{ prompt: "a", seed: 0 }],
  baseline: "plain-20",
  extractor: "sha256:0",
  settings: [
    evaluated("plain-20", 20, [4.32, 0.2651, 1]),
    evaluated("plain-17", 17, [4.47, 0.264, 1.14]),
    evaluated("plain-14", 14, [4.66, 0.2621, 1.44]),
    evaluated("cached-0.2", 20, [6.61, 0.2459, 1.53], { cached }),
    evaluated("cached-0.2-scale-shift", 20, [5.71, 0.2559, 1.51], {
      cached: { ...cached, adjustment: { file: "/a.safetensors", sha256: "0", terms: ["scale", "shift"] } },
    }),
  ],
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
  "Table 1 beside the paper's": tableOne(evaluation),
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

describe("Table 1", () => {
  const columns = figures["Table 1 beside the paper's"].data.filter(({ mode }) => mode === "markers") as unknown as {
    name: string;
    x: number[];
    y: number[];
    marker: { symbol: string };
  }[];
  it("has every metric and the speed, and beside them the paper's numbers of the same settings, hollow", () => {
    expect(columns.map(({ name, marker }) => [name, marker.symbol])).toEqual([
      ["Fréchet distance", "circle"],
      ["CLIP score", "circle"],
      ["images a second", "circle"],
      ["speed-up", "circle"],
      ["the paper's FID", "circle-open"],
      ["its speed-up", "circle-open"],
    ]);
    expect(columns[4]).toMatchObject({ x: [17.15, 18.67, 17.58, 15.95], y: [0, 2, 3, 4] });
    expect(columns[5]).toMatchObject({ x: [1, 1.43, 1.68, 1.65] });
    expect(subtitleOf("Table 1 beside the paper's")).toMatch(/hollow: Wimbauer et al\. 2024, Table 1: LDM-512/);
  });
  it("draws what is less than the baseline's, where that was taken, from 0", () => {
    const [plain, fewer] = evaluation.settings;
    const difference = { value: 0.15, low: 0.05, high: 0.3 };
    const compared = { ...fewer, metrics: { ...fewer.metrics, frechet: { ...fewer.metrics.frechet, difference } } };
    const { data } = tableOne({ ...evaluation, settings: [plain, compared] });
    const [drawn] = data.filter(({ mode }) => mode === "markers");
    expect(drawn).toMatchObject({ name: "Fréchet distance<br>− plain-20's", x: [0, 0.15] });
    expect(drawn.error_x).toMatchObject({ array: [0, expect.closeTo(0.15, 12)] });
  });
  it("has no such columns where no setting is one of the paper's", () => {
    const { data } = tableOne({ ...evaluation, settings: [evaluation.settings[1]] });
    expect(data.filter(({ mode }) => mode === "markers")).toHaveLength(4);
  });
});

gallery(figures, ["print"]);
