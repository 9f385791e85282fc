/** Figures of caching: numbers by hand from made-up studies and pictures, and the slider moved in Chromium. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import type { NetworkWork } from "../../src/caching/costs/networkWork.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import type { RgbImage } from "../../src/diffusion/image.js";
import { sliderPositions } from "../../src/figures/charts/controls.js";
import { placeLabels } from "../../src/figures/charts/placeLabels.js";
import {
  errorByStep,
  exportFigure,
  imageGrid,
  kindsAblation,
  pareto,
  scheduleChart,
  speedupScatter,
  sweepCurves,
  sweepSlider,
  sweepStrips,
} from "../../src/figures/index.js";
import type { PlotlyFigure, PlotlyObject, SweepPictures } from "../../src/figures/index.js";
import { differenceMap } from "../../src/quality/index.js";
import type { ArmResult, Distances, StudyResult } from "../../src/study/result.js";
import { hasChromium, openChromium } from "../chromium.js";
import { gallery } from "./gallery.js";

const schedule: Schedule = {
  format: "blockcache-schedule",
  version: 1,
  model: { fingerprint: "sha256:0", name: "made up" },
  solver: "ddim",
  num_inference_steps: 6,
  timesteps: [999, 833, 666, 500, 333, 166],
  guidance_scale: 5,
  heuristic: { name: "threshold", delta: 0.1 },
  blocks: {
    "down_blocks.0.attentions.0": [0, 1, 4],
    "mid_block.attentions.0": [0, 3],
    "up_blocks.0.attentions.0": [0, 1, 2, 3, 4, 5],
  },
};
/** As planned but for three cells: the mid block's evaluation 3 and 4 are read by nothing, up_blocks' evaluation 5 reused. */
const executed = {
  computedAt: new Map([
    ["down_blocks.0.attentions.0", [0, 1, 4]],
    ["mid_block.attentions.0", [0]],
    ["up_blocks.0.attentions.0", [0, 1, 2, 3, 4]],
  ]),
  reusedAt: new Map([
    ["down_blocks.0.attentions.0", [2, 3, 5]],
    ["mid_block.attentions.0", [1, 2, 5]],
    ["up_blocks.0.attentions.0", [5]],
  ]),
};

const distances = (latent: number): Distances => ({
  latent: [0.5 * latent, 1.5 * latent],
  psnr: [20 - latent, 20 + latent],
  ssim: [0.9, 0.9],
});
const plain = (steps: number, seconds: number, error: number): ArmResult => ({
  arm: { name: `plain ${steps}`, solver: "ddim", steps },
  toConverged: distances(error),
  evaluations: steps,
  seconds: [2 * seconds, 2 * seconds],
  computedShare: 1,
});
const cached = (
  parameter: number,
  reuse: string,
  seconds: readonly number[],
  error: number,
  predictedSpeedup: number,
): ArmResult => ({
  arm: {
    name: `threshold δ ${parameter}, ${reuse}`,
    solver: "ddim",
    steps: 20,
    cached: {
      schedule: { ...schedule, heuristic: { name: "threshold", delta: parameter } },
      reuse,
      kinds: "transformers",
      parameter,
    },
  },
  toConverged: distances(error),
  toPlain: distances(error / 2),
  evaluations: 20,
  seconds: seconds.map((each) => 2 * each),
  computedShare: 0.5,
  predictedSpeedup,
});
/** Batches of two: the seconds given are an image's. */
const study: StudyResult = {
  format: "blockcache-study",
  version: 1,
  model: { fingerprint: "sha256:0", name: "made up" },
  solver: "ddim",
  guidance_scale: 5,
  steps: 20,
  converged_steps: 200,
  timestep_spacing: "trailing",
  batch: 2,
  machine: "made up",
  trajectories: [
    { prompt: "x", seed: 0 },
    { prompt: "y", seed: 0 },
  ],
  results: [
    plain(10, 0.1, 0.4),
    plain(20, 0.2, 0.1),
    plain(15, 0.15, 0.25),
    cached(0.1, "hold", [0.175, 0.175], 0.1, 1.2),
    cached(0.2, "hold", [0.15, 0.16, 0.17], 0.3, 1.25),
    cached(0.4, "hold", [0.1, 0.1], 0.5, 1.9),
    cached(0.2, "linear", [0.125, 0.125], 0.3, 1.6),
  ],
};

const flat = (value: number): RgbImage => ({ width: 16, height: 16, rgb: new Uint8Array(16 * 16 * 3).fill(value) });
const pictures: SweepPictures = {
  parameter: "δ",
  prompts: ["a prompt", "another, much longer prompt"],
  plain: { images: [flat(100), flat(200)], seconds: 0.5 },
  cached: [
    { value: 0.1, images: [flat(100), flat(205)], seconds: 0.4 },
    { value: 0.3, images: [flat(130), flat(170)], seconds: 0.25 },
  ],
};
const figures: Record<string, PlotlyFigure> = {
  "schedule chart": scheduleChart(schedule, { executed }),
  "Pareto plot": pareto(study),
  "Pareto plot with intervals": pareto(study, { intervals: true }),
  "Pareto plot of pictures": pareto(study, { measure: "rms" }),
  "speed-up scatter": speedupScatter(study),
  "sweep curves": sweepCurves(study),
  "error by step": errorByStep([
    {
      label: "hold",
      distances: [
        [0, 0.1, 0.2, 0.2],
        [0, 0.3, 0.4, 0.6],
      ],
    },
    {
      label: "linear",
      distances: [
        [0, 0.1, 0.05, 0.01],
        [0, 0.3, 0.1, 0.03],
      ],
    },
  ]),
  "sweep strips": await sweepStrips(pictures),
  "sweep slider": await sweepSlider(pictures),
  "image grid": await imageGrid([
    { label: "a prompt", plain: flat(100), others: { hold: flat(110), linear: flat(100) } },
    { label: "another", plain: flat(50), others: { hold: flat(50), linear: flat(55) } },
  ]),
  "kinds ablation": await kindsAblation({
    prompts: ["a prompt"],
    plain: [flat(100)],
    arms: [
      { label: "transformers", images: [flat(100)], distances: [0.1, 0.3], computedShare: 0.5, speedup: 1.3 },
      { label: "ResNet blocks", images: [flat(90)], distances: [0.2, 0.2, 0.5], computedShare: 0.5, speedup: 1.4 },
    ],
  }),
};
const traceOf = (figure: string, name: string): PlotlyObject => {
  const trace = figures[figure].data.find((each) => each.name === name && !(each.x as unknown[]).includes(null));
  if (trace === undefined) throw new Error(`${figure} has no trace ${name}`);
  return trace;
};
const near = (value: number): unknown => expect.closeTo(value, 12);
const titleOf = (figure: string): string =>
  (figures[figure].layout.title as { subtitle: { text: string } }).subtitle.text;
const cells = ({ x, y }: PlotlyObject): string[] =>
  (x as number[]).map((at, index) => `${(y as string[])[index]} ${at}`);

describe("the schedule chart", () => {
  it("draws the plan: a dot where a block computes and its result is read, an arrow to the last reuse", () => {
    expect(cells(traceOf("schedule chart", "computes"))).toEqual(
      [..."125"]
        .map((step) => `down_blocks.0.attentions.0 ${step}`)
        .concat(
          "mid_block.attentions.0 1",
          [..."123456"].map((step) => `up_blocks.0.attentions.0 ${step}`),
        ),
    );
    const arrows = figures["schedule chart"].data.find(({ name }) => name === "reuses its cache");
    expect(arrows?.x).toEqual([2, 4, null, 5, 6, null, 1, 3, null, 4, 6, null]);
  });
  it("marks what was not run, and what was not as planned", () => {
    expect(cells(traceOf("schedule chart", "not run: nothing reads it"))).toEqual([
      "mid_block.attentions.0 4",
      "mid_block.attentions.0 5",
    ]);
    expect(cells(traceOf("schedule chart", "not as planned"))).toEqual(["up_blocks.0.attentions.0 6"]);
    expect(titleOf("schedule chart")).toBe(
      "1 of 18 evaluations did not do what was planned; 2 of 18 evaluations were not needed at all",
    );
  });
});

describe("the Pareto plot", () => {
  it("has the median time of each arm in units of the plain run's, and its mean distance", () => {
    expect(traceOf("Pareto plot", "plain, fewer steps")).toMatchObject({
      x: [0.5, 0.75, 1].map(near),
      y: [0.4, 0.25, 0.1].map(near),
      text: ["10", "15", "20"],
    });
    expect(traceOf("Pareto plot", "threshold: transformers, hold")).toMatchObject({
      x: [0.875, 0.8, 0.5].map(near),
      y: [0.1, 0.3, 0.5].map(near),
    });
  });
  it("joins the arms that no other beats, and names the cached ones", () => {
    // δ 0.1 has plain 20's distance in less time, and linear δ 0.2 lies between plain 10 and 15.
    expect(traceOf("Pareto plot", "front: nothing is cheaper and better")).toMatchObject({
      x: [0.5, 0.625, 0.75, 0.875].map(near),
    });
    expect(traceOf("Pareto plot", "threshold: transformers, hold").text).toEqual(["δ 0.1", "", ""]);
  });
  it("compares with plain sampling of equal time, between its runs in the logarithm", () => {
    // Plain is at √(0.4 · 0.25) = 0.316 where linear is at 0.3, and √(0.25 · 0.1) = 0.158 where δ 0.1 is at 0.1;
    // at 0.25^0.8 · 0.1^0.2 = 0.208 where δ 0.2 is at 0.3, and at 0.4 where δ 0.4 is at 0.5. Both trajectories say the same.
    expect(titleOf("Pareto plot")).toBe(
      "3 plain runs and 4 cached arms. Against plain sampling of equal time: 2 nearer, 2 farther, 0 not to be told apart (95 %)",
    );
    expect((traceOf("Pareto plot", "threshold: transformers, linear").hovertext as string[])[0]).toMatch(
      /÷ plain's of equal time: 0\.95 \(0\.95 to 0\.95\)/,
    );
  });
  it("names each point on hover, with its setting and the interval of its distance", () => {
    const [first] = traceOf("Pareto plot", "threshold: transformers, hold").hovertext as string[];
    expect(first).toMatch(/<b>threshold δ 0\.1, hold<\/b><br>threshold, δ 0\.1<br>.*: 0\.100 \(0\.0500 to 0\.150\)/);
    for (const trace of figures["Pareto plot"].data.filter(({ mode }) => String(mode).includes("text")))
      expect(trace.hovertext).toHaveLength((trace.x as number[]).length);
  });
  it("has predicted time on request: plain runs by their evaluations, cached ones by their prediction", () => {
    const { data, layout } = pareto(study, { x: "predicted" });
    const x = (name: string): number[] => data.find((trace) => trace.name === name)?.x as number[];
    expect(x("plain, fewer steps")).toEqual([0.5, 0.75, 1].map(near));
    expect(x("threshold: transformers, hold")).toEqual([1 / 1.2, 1 / 1.25, 1 / 1.9].map(near));
    expect((layout.xaxis as { title: { text: string } }).title.text).toMatch(
      /^predicted time of a run ÷ that of plain 20/,
    );
    const results = study.results.map((result, index) =>
      index === 3 ? { ...result, predictedSpeedup: undefined } : result,
    );
    const { title } = pareto({ ...study, results }, { x: "predicted" }).layout as {
      title: { subtitle: { text: string } };
    };
    expect(title.subtitle.text).toMatch(/^3 plain runs and 3 cached arms; 1 without a prediction not drawn\. Against/);
  });
  it("has network evaluations on request: one whose result is reused counts nothing", () => {
    const whole = {
      ...study.results[3],
      arm: {
        ...study.results[3].arm,
        cached: {
          schedule: { ...schedule, blocks: { conv_out: [0, 2, 4, 6, 8] } },
          reuse: "linear",
          kinds: "whole network",
        },
      },
    };
    const { data } = pareto({ ...study, results: [...study.results, whole] }, { x: "evaluations" });
    const trace = (name: string): unknown => data.find((each) => each.name === name)?.x;
    expect(trace("threshold: whole network, linear")).toEqual([5 / 20]);
    expect(trace("threshold: transformers, hold")).toEqual([1, 1, 1]);
  });
  it("has as many evaluations as the scheduler was configured for: PNDM's are n + 1, or n + 9 with Runge–Kutta", () => {
    const pndm = (extra?: number): unknown => {
      const results = study.results.map(({ evaluations: _, arm, ...result }) => ({
        ...result,
        arm: { ...arm, solver: "pndm" } as const,
        ...(extra === undefined ? {} : { evaluations: arm.steps + extra }),
      }));
      const { data } = pareto({ ...study, solver: "pndm", results }, { x: "evaluations" });
      return data.find(({ name }) => name === "plain, fewer steps")?.x;
    };
    expect(pndm(1)).toEqual([11 / 21, 16 / 21, 1].map(near));
    expect(pndm(9)).toEqual([19 / 29, 24 / 29, 1].map(near));
    // A study that does not say it is taken for diffusers' default, which is Runge–Kutta.
    expect(pndm()).toEqual(pndm(9));
  });
  it("has multiply-adds on request: of what runs, by the network's own graph", () => {
    // c reads b, b's merge reads a; where b is reused, a alone still runs, and c always computes: 1000 + 1 of 1111.
    const work: NetworkWork = {
      outline: [
        { id: "a", reads: ["sample"], bytes_per_row: 0 },
        { id: "inside", reads: ["a"], bytes_per_row: 0 },
        { id: "b", reads: ["inside"], merge_reads: ["a"], bytes_per_row: 4 },
        { id: "c", reads: ["b"], merge_reads: [], bytes_per_row: 4 },
      ],
      multiplyAdds: { a: 1000, inside: 100, b: 10, c: 1 },
    };
    const cachedArm = {
      ...study.results[3],
      arm: {
        ...study.results[3].arm,
        cached: {
          schedule: { ...schedule, timesteps: new Array<number>(20).fill(0), blocks: { b: [0, 1, 2, 3] } },
          reuse: "hold",
          kinds: "b",
        },
      },
    };
    const { data } = pareto(
      { ...study, results: [...study.results.slice(0, 3), cachedArm] },
      { x: "multiply-adds", work },
    );
    const trace = (name: string): unknown => data.find((each) => each.name === name)?.x;
    expect(trace("threshold: b, hold")).toEqual([near((4 * 1111 + 16 * 1001) / (20 * 1111))]);
    expect(trace("plain, fewer steps")).toEqual([0.5, 0.75, 1].map(near));
    expect(() => pareto(study, { x: "multiply-adds", work })).toThrow(/blocks of the network, found down_blocks\.0/);
    const own = { ...cachedArm, arm: { ...cachedArm.arm, cached: { ...cachedArm.arm.cached, reuse: "deeper" } } };
    const withOwn = { ...study, results: [...study.results.slice(0, 3), own] };
    expect(() => pareto(withOwn, { x: "multiply-adds", work })).toThrow(
      /your own rule must be defined in this process/,
    );
    expect(() => pareto(study, { x: "multiply-adds" })).toThrow(/work: multiply-adds need the network's/);
  });
  it("labels points at the plot's edges within it, and not at all where there is no room", () => {
    const plot = { width: 100, height: 60 };
    const label = "δ 0.1";
    const corners = [
      { x: 0, y: 0, label },
      { x: 100, y: 0, label },
      { x: 0, y: 60, label },
      { x: 100, y: 60, label },
    ];
    expect(placeLabels(corners, [], 10, plot)).toEqual(["bottom right", "bottom left", "top right", "top left"]);
    expect(placeLabels([{ x: 50, y: 30, label: "much wider than this small plot is" }], [], 10, plot)).toEqual([
      undefined,
    ]);
  });
  it.skipIf(!hasChromium)(
    "has labels that neither collide nor are cut, at a page's width and at a screen's",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "blockcache-labels-"));
      const browser = await openChromium();
      try {
        for (const [file, width] of [
          ["study-20.json", 852],
          ["study-50.json", 852],
          ["study-20.json", 1200],
        ] as const) {
          const measured = JSON.parse(
            readFileSync(new URL(`../../bench/results/${file}`, import.meta.url), "utf8"),
          ) as StudyResult;
          await exportFigure(pareto(measured), join(folder, "labels.html"));
          const page = await browser.newPage({ viewport: { width, height: 700 } });
          await page.goto(pathToFileURL(join(folder, "labels.html")).href);
          await page.waitForSelector(".textpoint text");
          const boxes = (await page.evaluate(
            "[...document.querySelectorAll('.textpoint text')].map((text) => text.getBoundingClientRect().toJSON())",
          )) as { left: number; right: number; top: number; bottom: number }[];
          const plot = (await page.evaluate(
            "document.querySelector('.nsewdrag').getBoundingClientRect().toJSON()",
          )) as (typeof boxes)[number];
          await page.close();
          for (const { left, right, top, bottom } of boxes)
            expect(left >= plot.left && right <= plot.right && top >= plot.top && bottom <= plot.bottom).toBe(true);
          expect(boxes.length).toBeGreaterThan(5);
          boxes.forEach((a, index) =>
            boxes
              .slice(index + 1)
              .forEach((b) =>
                expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false),
              ),
          );
        }
      } finally {
        await browser.close();
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
  it("has bars from the least to the most time, and from the lower to the higher trajectory's distance", () => {
    expect(traceOf("Pareto plot with intervals", "threshold: transformers, hold")).toMatchObject({
      error_x: { array: [0, 0.05, 0].map(near), arrayminus: [0, 0.05, 0].map(near) },
      error_y: { array: [0.05, 0.15, 0.25].map(near), arrayminus: [0.05, 0.15, 0.25].map(near) },
    });
    // Root mean square error of 20 ± x dB.
    expect((traceOf("Pareto plot of pictures", "plain, fewer steps").y as number[])[2]).toBeCloseTo(
      (10 ** (-19.9 / 20) + 10 ** (-20.1 / 20)) / 2,
      12,
    );
  });
});

it("the speed-up scatter has prediction against plain seconds ÷ the arm's", () => {
  const { x, y } = traceOf("speed-up scatter", "threshold: transformers, hold") as { x: number[]; y: number[] };
  expect(x).toEqual([1.2, 1.25, 1.9]);
  [0.2 / 0.175, 1.25, 2].forEach((speedup, index) => expect(y[index]).toBeCloseTo(speedup, 12));
});

it("sweep curves have error and speed-up over δ, a line for each reuse rule", () => {
  const hold = figures["sweep curves"].data.filter(({ name }) => name === "transformers, hold") as {
    x: number[];
    y: number[];
  }[];
  expect(hold.map(({ x }) => x)).toEqual([
    [0.1, 0.2, 0.4],
    [0.1, 0.2, 0.4],
  ]);
  [0.1, 0.3, 0.5].forEach((error, index) => expect(hold[0].y[index]).toBeCloseTo(error, 12));
  [0.2 / 0.175, 1.25, 2].forEach((speedup, index) => expect(hold[1].y[index]).toBeCloseTo(speedup, 12));
  expect(() => sweepCurves(study, { heuristic: "uniform" })).toThrow(/no arm of uniform .* it has threshold/);
});

it("error by step is the mean over trajectories, from the first step that has one", () => {
  const line = figures["error by step"].data.find(({ name, mode }) => name === "hold" && mode === "lines+markers") as {
    x: number[];
    y: number[];
  };
  expect(line.x).toEqual([2, 3, 4]);
  [0.2, 0.3, 0.4].forEach((mean, index) => expect(line.y[index]).toBeCloseTo(mean, 12));
});

it("sweep strips have the throughput of each setting", () => {
  expect(figures["sweep strips"].data.at(-1)).toMatchObject({ y: [2, 2.5, 4], text: ["plain", "δ = 0.1", "δ = 0.3"] });
  expect((figures["sweep strips"].layout.xaxis as { ticktext: string[] }).ticktext).toEqual([
    "plain<br>1.00 ×",
    "δ = 0.1<br>1.25 ×",
    "δ = 0.3<br>2.00 ×",
  ]);
});

it("the ablation has the mean distance of each kind", () => {
  const { x } = figures["kinds ablation"].data.at(-1) as { x: number[] };
  expect(x[0]).toBeCloseTo(0.2, 12);
  expect(x[1]).toBeCloseTo(0.3, 12);
});

it("difference maps are |a − b| times the gain, cut at white; PSNR of a flat difference of 10 is 20 log₁₀ 25.5", () => {
  expect(new Set(differenceMap(flat(100), flat(110), 4).rgb)).toEqual(new Set([40]));
  expect(new Set(differenceMap(flat(200), flat(100), 4).rgb)).toEqual(new Set([255]));
  expect(() => differenceMap(flat(1), { width: 8, height: 16, rgb: new Uint8Array(8 * 16 * 3) }, 4)).toThrow(
    /expected 16×16 pixels, found 8×16/,
  );
  const labels = (figures["image grid"].layout.annotations as { text: string }[]).map(({ text }) => text);
  expect(labels).toEqual([
    `${(20 * Math.log10(25.5)).toFixed(1)} dB`,
    "equal",
    "equal",
    `${(20 * Math.log10(51)).toFixed(1)} dB`,
  ]);
});

describe("the slider", () => {
  const shown = async (figure: PlotlyFigure): Promise<number[]> =>
    Promise.all(
      (figure.layout.images as { source: string }[]).map(
        async ({ source }) =>
          (
            await sharp(Buffer.from(source.split(",")[1], "base64"))
              .raw()
              .toBuffer()
          )[0],
      ),
    );

  it("has plain, cached and difference of each prompt at each position", async () => {
    const positions = sliderPositions(figures["sweep slider"]);
    expect(positions.map(({ label }) => label)).toEqual(["0.1", "0.3"]);
    expect(await shown(positions[0].figure)).toEqual([100, 200, 100, 205, 0, 20]);
    expect(await shown(positions[1].figure)).toEqual([100, 200, 130, 170, 120, 120]);
  });

  it.skipIf(!hasChromium)("changes the pictures in an exported page", async () => {
    const folder = mkdtempSync(join(tmpdir(), "blockcache-slider-"));
    const browser = await openChromium();
    try {
      const file = join(folder, "slider.html");
      await exportFigure(figures["sweep slider"], file);
      const page = await browser.newPage({ viewport: { width: 900, height: 800 } });
      await page.goto(pathToFileURL(file).href);
      // The third picture is the first prompt's cached one.
      const grey = async (): Promise<number> => {
        const clip = await page.locator(".layer-above image").nth(2).boundingBox();
        if (clip === null) throw new Error("no picture");
        return (
          await sharp(
            await page.screenshot({
              clip: { x: clip.x + clip.width / 2, y: clip.y + clip.height / 2, width: 1, height: 1 },
            }),
          )
            .raw()
            .toBuffer()
        )[0];
      };
      await page.waitForSelector(".slider-rail-touch-rect");
      await expect.poll(grey).toBe(100);
      const rail = await page.locator(".slider-rail-touch-rect").boundingBox();
      if (rail === null) throw new Error("no slider");
      await page.mouse.click(rail.x + 0.95 * rail.width, rail.y + rail.height / 2);
      await expect.poll(grey).toBe(130);
      expect(await page.locator(".gtitle-subtitle").textContent()).toMatch(/^δ = 0\.3: 2\.00 × as fast/);
    } finally {
      await browser.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

gallery(figures, ["print"]);
