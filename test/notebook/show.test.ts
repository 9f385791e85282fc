/** What show() makes of values: forms, captions, and the pixels of maps. */
import sharp from "sharp";
import { expect, it, vi } from "vitest";
import { show } from "../../src/index.js";
import type { RgbImage } from "../../src/index.js";
import { bundleOf } from "../../src/notebook/show/views.js";

const grey: RgbImage = { width: 2, height: 1, rgb: new Uint8Array(6).fill(128) };

async function htmlOf(value: unknown, captions?: readonly string[]): Promise<string> {
  return String((await bundleOf(value, captions))?.["text/html"]);
}

/** The colours of the top left and the bottom right corner of each picture. */
async function cornersOf(html: string): Promise<number[][][]> {
  const sources = [...html.matchAll(/src="data:image\/png;base64,([^"]+)"/g)].map(([, data]) => data);
  return Promise.all(
    sources.map(async (data) => {
      const { data: rgb } = await sharp(Buffer.from(data, "base64"))
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      return [[...rgb.subarray(0, 3)], [...rgb.subarray(-3)]];
    }),
  );
}

it("a tensor is a map a plane in one scale, from its least value to its greatest", async () => {
  // [2, 1, 2]: the second plane ends at the greatest value of all.
  const html = await htmlOf({ dims: [2, 1, 2], data: Float32Array.of(-1, 1, 0, 3) });
  const [first, second] = await cornersOf(html);
  // cividis, from its table: 0 is (0, 34, 78), 0.5 is (124, 123, 120), 1 is (254, 232, 56).
  expect([...first, second[1]]).toEqual([
    [0, 34, 78],
    [124, 123, 120],
    [254, 232, 56],
  ]);
  expect(html).toContain("tensor [2, 1, 2], -1.000 (dark) to 3.000 (yellow)");
  expect(html).toMatch(/<figcaption>\[0\]<.*<figcaption>\[1\]</);
});

it("what is not finite stands out, is counted, and leaves the scale to the others", async () => {
  const html = await htmlOf({ dims: [1, 3], data: Float32Array.of(NaN, 0, 5) });
  expect((await cornersOf(html))[0]).toEqual([
    [220, 20, 60],
    [254, 232, 56],
  ]);
  expect(html).toContain("0.000 (dark) to 5.000 (yellow); 1 not finite (red)");
});

it("many channels are drawn up to a limit that is named", async () => {
  const html = await htmlOf({ dims: [1, 70, 1, 1], data: new Float32Array(70) });
  expect((await cornersOf(html)).length).toBe(64);
  expect(html).toContain("the first 64 of 70 maps");
});

it.each([
  ["an option", [grey, grey], ["a <b>", "c"]],
  ["labels", { "a <b>": grey, c: grey }, undefined],
])("pictures have captions from %s, as text and not as markup", async (_, value, captions) => {
  expect(await htmlOf(value, captions)).toMatch(/<figcaption>a &lt;b&gt;<.*<figcaption>c</);
});

it("what generate returns is its pictures", async () => {
  const html = await htmlOf({ latents: { dims: [1], data: new Float32Array(1) }, images: [grey, grey] });
  expect(await cornersOf(html)).toEqual(Array(2).fill(Array(2).fill([128, 128, 128])));
});

it("records are a table with a column for every key", async () => {
  const html = await htmlOf([
    { id: "a", shape: [2, 3] },
    { id: "<b>", seconds: 0.12345 },
  ]);
  expect(html).toContain('<td style="text-align:left">2×3</td>');
  expect(html).toContain("&lt;b&gt;");
  expect(html.match(/<th /g)).toHaveLength(3);
});

it.each([[undefined], [5], [[1, 2]], [new Map([[1, 2]])], [[]], [{}]])("%s is text", async (value) => {
  const log = vi.spyOn(console, "log").mockReturnValue();
  await show(value);
  expect(log).toHaveBeenCalledWith(value);
  log.mockRestore();
});
