/** `blockcache plot` of studies, from a study made by hand; files by their ending, and JSON for machines. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PlotlyFigure } from "../../src/figures/figure.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import type { ArmResult, StudyResult } from "../../src/study/result.js";

const main = join("dist", "cli", "main.js");
const folder = mkdtempSync(join(tmpdir(), "blockcache-plot-"));
const at = (name: string): string => join(folder, name);
const run = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });

const schedule: Schedule = {
  format: "blockcache-schedule",
  version: 1,
  model: { fingerprint: "sha256:0", name: "made up" },
  solver: "ddim",
  num_inference_steps: 4,
  timesteps: [999, 749, 499, 249],
  guidance_scale: 5,
  heuristic: { name: "threshold", delta: 0.1 },
  blocks: { "mid_block.attentions.0": [0, 2] },
};
const arm = (
  name: string,
  steps: number,
  seconds: number,
  distance: number,
  cached?: { parameter: number; predictedSpeedup: number },
): ArmResult => ({
  arm: {
    name,
    solver: "ddim",
    steps,
    ...(cached === undefined
      ? {}
      : { cached: { schedule, reuse: "hold", kinds: "transformers", parameter: cached.parameter } }),
  },
  toConverged: { latent: [distance, distance, distance], psnr: [20, 20, 20], ssim: [0.9, 0.9, 0.9] },
  // A batch of two, and one of one.
  seconds: [2 * seconds, seconds],
  plainSeconds: [0.8, 0.4],
  computedShare: cached === undefined ? 1 : 0.5,
  ...(cached === undefined ? {} : { predictedSpeedup: cached.predictedSpeedup }),
});
const study: StudyResult = {
  format: "blockcache-study",
  version: 1,
  model: schedule.model,
  solver: "ddim",
  guidance_scale: 5,
  steps: 4,
  converged_steps: 50,
  timestep_spacing: "trailing",
  batch: 2,
  machine: "made up",
  trajectories: ["a", "b", "c"].map((prompt) => ({ prompt, seed: 0 })),
  results: [
    arm("plain 2", 2, 0.2, 0.4),
    arm("plain 4", 4, 0.4, 0.1),
    arm("δ 0.1", 4, 0.32, 0.15, { parameter: 0.1, predictedSpeedup: 1.5 }),
    arm("δ 0.2", 4, 0.25, 0.2, { parameter: 0.2, predictedSpeedup: 2 }),
  ],
};

/** What `plot name` draws, as JSON; beside it a picture, so that it was drawn too. */
function plot(name: string, ...options: string[]): PlotlyFigure {
  const files = [at(`${name}.json`), at(`made/here/${name}.svg`)];
  const { status, stdout, stderr } = run("plot", name, at("study.json"), "--out", ...files, ...options, "--json");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(JSON.parse(stdout)).toEqual({ written: files });
  expect(readFileSync(files[1], "utf8")).toMatch(/^<svg/);
  return JSON.parse(readFileSync(files[0], "utf8")) as PlotlyFigure;
}

const traceOf = ({ data }: PlotlyFigure, name: string): { x: number[]; y: number[]; hovertext?: string[] } =>
  data.find((trace) => trace.name === name) as { x: number[]; y: number[]; hovertext?: string[] };
const near = (value: number): unknown => expect.closeTo(value, 12);

beforeAll(() => writeFileSync(at("study.json"), JSON.stringify(study)));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("blockcache plot", () => {
  it("pareto: time ÷ plain's against the distance; hover has the milliseconds of one image", () => {
    const figure = plot("pareto", "--intervals");
    expect(traceOf(figure, "plain, fewer steps")).toMatchObject({ x: [near(0.5), near(1)], y: [near(0.4), near(0.1)] });
    const cached = traceOf(figure, "threshold: transformers, hold");
    expect(cached).toMatchObject({
      x: [near(0.8), near(0.625)],
      y: [near(0.15), near(0.2)],
      error_x: { array: [near(0), near(0)] },
    });
    // 0.64 s of two images and 0.32 s of one
    expect(cached.hovertext?.[0]).toMatch(/320 ms an image, 1\.25 × as fast as plain 4/);
  });

  it("pareto over predicted time: ÷ the prediction's speed-up", () => {
    const figure = plot("pareto", "--x", "predicted");
    expect(traceOf(figure, "plain, fewer steps").x).toEqual([near(0.5), near(1)]);
    expect(traceOf(figure, "threshold: transformers, hold").x).toEqual([near(1 / 1.5), near(0.5)]);
  });

  it("pareto of pictures that equal the reference's: a distance of 0 is drawn", () => {
    const equal = {
      ...study,
      results: study.results.map((each, index) =>
        index === 3
          ? {
              ...each,
              toConverged: { ...each.toConverged, psnr: ["Infinity", "Infinity", "Infinity"], ssim: [1, 1, 1] },
            }
          : each,
      ),
    };
    writeFileSync(at("equal.json"), JSON.stringify(equal));
    for (const measure of ["rms", "dssim"])
      expect(
        run("plot", "pareto", at("equal.json"), "--measure", measure, "--out", at(`${measure}.svg`)),
      ).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(at("rms.svg"), "utf8")).not.toMatch(/NaN/);
  });

  it("sweep: distance and speed-up over δ", () => {
    const lines = plot("sweep", "--theme", "dark").data.filter(({ name }) => name === "transformers, hold");
    expect(lines).toMatchObject([
      { x: [0.1, 0.2], y: [near(0.15), near(0.2)] },
      { x: [0.1, 0.2], y: [near(1.25), near(1.6)] },
    ]);
    const none = run("plot", "sweep", at("study.json"), "--heuristic", "uniform", "--out", at("none.svg"));
    expect([none.status, none.stderr]).toEqual([1, expect.stringMatching(/no arm of uniform/)]);
    expect(existsSync(at("none.svg"))).toBe(false);
  });

  it("speedup: predicted against realised", () => {
    expect(traceOf(plot("speedup"), "threshold: transformers, hold")).toMatchObject({
      x: [1.5, 2],
      y: [near(1.25), near(1.6)],
    });
  });

  it.each([
    [
      ["pareto", at("study.json"), "--out", at("a.html"), at("b.gif")],
      2,
      /expected a name that ends in \.html.*found ".*b\.gif"/,
    ],
    [["pareto", at("study.json"), "--measure", "nonsense", "--out", at("a.html")], 2, /--measure/],
    [["pareto", at("nowhere.json"), "--out", at("a.html")], 1, /nowhere\.json/],
    [["pareto", "--out", at("a.html")], 2, /missing required argument/],
    [
      ["pareto", at("study.json"), "--x", "multiply-adds", "--out", at("a.html")],
      2,
      /--model: expected both or neither/,
    ],
    [["nonsense"], 2, /unknown command/],
  ])("%j is refused before anything is written", (args, code, message) => {
    const { status, stderr } = run("plot", ...args);
    expect(status).toBe(code);
    expect(stderr).toMatch(message);
    expect(existsSync(at("a.html"))).toBe(false);
  });
});
