/** Figures: right numbers in, right files out, and the same picture with and without a browser. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { blockMapChart, changeCurves, changeHeatMap, exportFigure, pcaStrips } from "../../src/figures/index.js";
import type { PlotlyFigure } from "../../src/figures/index.js";
import type { BlockMapEntry } from "../../src/instrument/blockMap.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { gallery } from "./gallery.js";

const STEPS = 20;
const TRAJECTORIES = 4;
const folder = mkdtempSync(join(tmpdir(), "blockcache-figures-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ids = [
  ["conv_in", "conv_in", 16],
  ...[0, 1].flatMap((n) => [
    [`down_blocks.0.resnets.${n}`, "resnet", 16],
    [`down_blocks.0.attentions.${n}`, "transformer", 16],
  ]),
  ["down_blocks.0.downsamplers.0", "downsampler", 8],
  ["down_blocks.1.resnets.0", "resnet", 8],
  ["mid_block.resnets.0", "resnet", 8],
  ["mid_block.attentions.0", "transformer", 8],
  ["mid_block.resnets.1", "resnet", 8],
  ...[0, 1].map((n) => [`up_blocks.0.resnets.${n}`, "resnet", 8]),
  ["up_blocks.0.upsamplers.0", "upsampler", 16],
  ...[0, 1, 2].flatMap((n) => [
    [`up_blocks.1.resnets.${n}`, "resnet", 16],
    [`up_blocks.1.attentions.${n}`, "transformer", 16],
  ]),
  ["conv_out", "conv_out", 16],
] as [string, BlockMapEntry["kind"], number][];
const blocks = ids.map(([id, kind, side]) => ({ id, kind, resolution: [side, side] as const }));
/** Trajectory r of block b has 0.1 + b/100 + t/100 + r/100 at step t. */
const value = (block: number, row: number, step: number): number => (step === 0 ? 0 : 0.1 + (block + step + row) / 100);
const profile: Profile = {
  setting: {
    model: { fingerprint: "sha256:0", name: "made up" },
    solver: "ddim",
    solver_config: {},
    num_inference_steps: STEPS,
    timesteps: Array.from({ length: STEPS }, (_, step) => 999 - 50 * step),
    guidance_scale: 5,
    negative_prompt: "",
    latent_size: [16, 16],
  },
  device: "cpu",
  library_version: "0",
  trajectories: Array.from({ length: TRAJECTORIES }, (_, seed) => ({ prompt: "x", seed })),
  blocks,
  values: {
    change: Object.fromEntries(
      ids.map(([id], block) => [
        id,
        Float64Array.from({ length: TRAJECTORIES * STEPS }, (_, index) =>
          value(block, Math.floor(index / STEPS), index % STEPS),
        ),
      ]),
    ),
  },
};
const map: BlockMapEntry[] = ids.map(([id, kind, side], index) => ({
  id,
  kind,
  resolution: [side, side],
  channels: 8,
  shape: [8, side, side],
  bytes: 32 * side * side,
  parameters: 100,
  multiplyAdds: 1000 * (index + 1),
  cacheable: true,
  seconds: 0.001 * (index + 1),
}));
const pixel = `data:image/png;base64,${(
  await sharp({ create: { width: 32, height: 32, channels: 3, background: "#d55e00" } })
    .png()
    .toBuffer()
).toString("base64")}`;
const figures: Record<string, PlotlyFigure> = {
  "change curves": changeCurves(profile),
  "heat map": changeHeatMap(profile),
  "block map": blockMapChart(map),
  "PCA strips": pcaStrips({
    rows: ["predicted image", "mid_block.attentions.0"].map((label) => ({ label, images: [pixel, pixel, pixel] })),
    steps: [0, 9, 19],
    timesteps: [999, 549, 49],
  }),
};

describe("change curves", () => {
  const { data, layout } = figures["change curves"];
  it("have a line a block, its mean and deviation by hand", () => {
    const lines = data.filter(({ showlegend }) => showlegend !== false);
    expect(lines.map(({ name }) => name)).toEqual(ids.map(([id]) => id));
    const { y, customdata, x } = lines[2] as { x: number[]; y: number[]; customdata: [number, number][] };
    expect(x[0]).toBe(2);
    // Mean of 0, 1, 2, 3 hundredths is 0.015; their deviation is √(5/3) hundredths.
    y.forEach((mean, index) => expect(mean).toBeCloseTo(0.1 + (2 + index + 1) / 100 + 0.015, 12));
    customdata.forEach(([deviation, timestep], index) => {
      expect(deviation).toBeCloseTo(Math.sqrt(5 / 3) / 100, 12);
      expect(timestep).toBe(999 - 50 * (index + 1));
    });
  });
  it("have a panel a resolution, the finest first", () => {
    expect((layout.annotations as { text: string }[]).map(({ text }) => text)).toEqual([
      "<b>16 × 16</b>",
      "<b>8 × 8</b>",
    ]);
  });
});

it("the heat map has the mean of each block and step", () => {
  const { z, y } = figures["heat map"].data[0] as { z: number[][]; y: string[] };
  expect(y).toEqual(ids.map(([id]) => id));
  z.forEach((row, block) =>
    row.forEach((mean, index) => expect(mean).toBeCloseTo(0.1 + (block + index + 1) / 100 + 0.015, 12)),
  );
});

it("the block map gives each block its share of time", () => {
  const points = figures["block map"].data.at(-1) as { marker: { color: number[] } };
  const total = (ids.length * (ids.length + 1)) / 2;
  points.marker.color.forEach((share, index) => expect(share).toBeCloseTo((100 * (index + 1)) / total, 10));
  expect(points.marker.color.reduce((sum, share) => sum + share, 0)).toBeCloseTo(100, 8);
});

gallery(figures, ["light", "dark", "print"]);

it("a figure made for print is a page wide in a PDF, though the export is not told", async () => {
  await exportFigure(changeCurves(profile, { theme: "print" }), join(folder, "print.pdf"));
  await exportFigure(changeCurves(profile), join(folder, "light.pdf"), { width: 852 });
  const width = (name: string): number =>
    Number(/\/MediaBox \[0 0 ([\d.]+) /.exec(readFileSync(join(folder, name), "latin1"))?.[1]);
  // 6.9 inches of 72 points, in whole pixels of 7 ÷ 12 points; a screen pixel is 3 ÷ 4 of a point.
  expect(Math.abs(width("print.pdf") - 6.9 * 72)).toBeLessThan(7 / 12);
  expect(width("light.pdf")).toBeCloseTo(852 * 0.75, 3);
});

it("equal figures give equal files, without a date", async () => {
  for (const ending of ["svg", "pdf", "png", "html"]) {
    const [first, second] = ["first", "second"].map((name) => join(folder, `${name}.${ending}`));
    await exportFigure(changeCurves(profile), first);
    await exportFigure(changeHeatMap(profile), join(folder, `between.${ending}`));
    await exportFigure(changeCurves(profile), second);
    expect(readFileSync(first).equals(readFileSync(second))).toBe(true);
  }
  expect(readFileSync(join(folder, "first.pdf"), "latin1")).not.toMatch(/CreationDate|CreateDate|ModDate/);
});

it("another ending is refused, and nothing is left", async () => {
  await expect(exportFigure(figures["heat map"], join(folder, "x.bmp"))).rejects.toThrow(
    /x\.bmp: expected a name that ends in \.html/,
  );
  expect(existsSync(join(folder, "x.bmp"))).toBe(false);
});
