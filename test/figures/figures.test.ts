/** Figures: right numbers in, right files out, and the same picture with and without a browser. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  differenceCiede2000,
  filterDeficiencyDeuter,
  filterDeficiencyProt,
  filterDeficiencyTrit,
  rgb,
  wcagContrast,
} from "culori";
import type { Color } from "culori";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { blockMapChart, changeCurves, changeHeatMap, exportFigure, pcaStrips } from "../../src/figures/index.js";
import type { PlotlyFigure } from "../../src/figures/index.js";
import { CATEGORICAL_COLOURS } from "../../src/figures/theme.js";
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
  precision: "float32",
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
  sharedParameters: 0,
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
  interface Line {
    readonly name: string;
    readonly legend: string;
    readonly legendgroup: string;
    readonly yaxis: string;
    readonly line: { readonly color: string };
    readonly x: number[];
    readonly y: number[];
    readonly customdata: [number, number][];
  }
  const lines = data.filter(({ showlegend }) => showlegend !== false) as unknown as Line[];
  const axis = (name: string): { domain: [number, number] } => layout[name] as { domain: [number, number] };
  const panelOf = ({ yaxis }: Line): string => yaxis.slice(1);

  it("have a line a block, its mean and deviation by hand", () => {
    const number = ids.findIndex(([id]) => id === "down_blocks.0.attentions.0");
    const { x, y, customdata } = lines.find(({ legendgroup }) => legendgroup === ids[number][0]) as Line;
    expect(lines.map(({ legendgroup }) => legendgroup).sort()).toEqual(ids.map(([id]) => id).sort());
    expect(x[0]).toBe(2);
    // Mean of 0, 1, 2, 3 hundredths is 0.015; their deviation is √(5/3) hundredths.
    y.forEach((mean, index) => expect(mean).toBeCloseTo(0.1 + (number + index + 1) / 100 + 0.015, 12));
    customdata.forEach(([deviation, timestep], index) => {
      expect(deviation).toBeCloseTo(Math.sqrt(5 / 3) / 100, 12);
      expect(timestep).toBe(999 - 50 * (index + 1));
    });
  });

  it("have a panel a stage: encoder above decoder, the mid block to the right of both", () => {
    const places = (layout.annotations as { text: string }[]).map(({ text }, index): [string, number, number] => {
      const suffix = index === 0 ? "" : String(index + 1);
      return [text.replace(/<.?b>/g, ""), axis(`xaxis${suffix}`).domain[0], axis(`yaxis${suffix}`).domain[0]];
    });
    const [down0, down1, mid, up0, up1] = places;
    expect(places.map(([title]) => title)).toEqual([
      "down_blocks.0  16 × 16",
      "down_blocks.1  8 × 8",
      "mid_block  8 × 8",
      "up_blocks.0  8 × 8",
      "up_blocks.1  16 × 16",
    ]);
    expect(down0[1]).toBe(up1[1]);
    expect(down1[1]).toBe(up0[1]);
    expect(down0[1]).toBeLessThan(down1[1]);
    expect(down1[1]).toBeLessThan(mid[1]);
    expect(up0[2]).toBeLessThan(down0[2]);
    expect(up0[2]).toBe(up1[2]);
    expect(mid[2]).toBeGreaterThan(up0[2]);
    expect(mid[2]).toBeLessThan(down0[2]);
  });

  it("tell the lines of a panel apart by colour, in a legend of its own below it", () => {
    for (const panel of new Set(lines.map(panelOf))) {
      const members = lines.filter((line) => panelOf(line) === panel);
      expect(new Set(members.map(({ line }) => line.color)).size).toBe(members.length);
      expect(new Set(members.map(({ legend }) => legend))).toEqual(new Set([`legend${panel}`]));
      const { x, y } = layout[`legend${panel}`] as { x: number; y: number };
      expect(x).toBe(axis(`xaxis${panel}`).domain[0]);
      expect(y).toBeLessThan(axis(`yaxis${panel}`).domain[0]);
      // Room for all of its entries, of 19 pixels each, before the next panel or the end.
      const { height, margin } = layout as { height: number; margin: { t: number; b: number } };
      const end = y - (19 * members.length) / (height - margin.t - margin.b);
      const below = lines
        .map(panelOf)
        .filter((other) => axis(`xaxis${other}`).domain[0] === x && axis(`yaxis${other}`).domain[0] < y)
        .map((other) => axis(`yaxis${other}`).domain[1]);
      expect(end).toBeGreaterThan(Math.max(0, ...below));
    }
  });

  it("of the transformers of Stable Diffusion 1.x have seven panels and sixteen lines", () => {
    const attentions = [0, 1, 2, 3].flatMap((level) => [
      ...[0, 1].map((n) => `down_blocks.${level}.${level < 3 ? "attentions" : "resnets"}.${n}`),
      ...[0, 1, 2].map((n) => `up_blocks.${level}.${level > 0 ? "attentions" : "resnets"}.${n}`),
    ]);
    const sd = [...attentions, "mid_block.attentions.0"].map((id): BlockMapEntry => ({
      ...map[0],
      id,
      kind: id.includes("attentions") ? "transformer" : "resnet",
    }));
    const constant = Object.fromEntries(sd.map(({ id }) => [id, new Float64Array(TRAJECTORIES * STEPS).fill(0.1)]));
    const drawn = changeCurves({ ...profile, blocks: sd, values: { change: constant } }, { kinds: ["transformer"] });
    expect(drawn.layout.annotations).toHaveLength(7);
    expect(drawn.data.filter(({ showlegend }) => showlegend !== false)).toHaveLength(16);
    const columns = Object.entries(drawn.layout).filter(([name]) => name.startsWith("xaxis"));
    expect(new Set(columns.map(([, axis]) => (axis as { domain: number[] }).domain[0])).size).toBe(4);
  });
});

describe("the palette", () => {
  const toRgb = (hex: string): Color => rgb(hex) ?? { mode: "rgb", r: 0, g: 0, b: 0 };

  it("is told apart by eyes that lack one kind of cone, and stands off a white and a dark page", () => {
    const eyes = [
      (colour: Color) => colour,
      filterDeficiencyProt(1),
      filterDeficiencyDeuter(1),
      filterDeficiencyTrit(1),
    ];
    const apart = differenceCiede2000();
    CATEGORICAL_COLOURS.forEach((colour, index) => {
      expect(Math.min(wcagContrast(colour, "#ffffff"), wcagContrast(colour, "#14171b"))).toBeGreaterThan(2.2);
      for (const other of CATEGORICAL_COLOURS.slice(0, index))
        for (const seen of eyes) expect(apart(seen(toRgb(colour)), seen(toRgb(other)))).toBeGreaterThan(10);
    });
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
