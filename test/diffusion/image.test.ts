import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import sharp from "sharp";
import { afterAll, expect, test } from "vitest";
import { encodePng, enlarge, saveImage, toDataUri } from "../../src/diffusion/image.js";
import type { RgbImage } from "../../src/diffusion/image.js";
import { montage } from "../../src/diffusion/montage.js";
import { pixelsToImages } from "../../src/diffusion/pixels.js";
import { ArgumentError } from "../../src/errors.js";

const fixture = JSON.parse(readFileSync(new URL("../fixtures/image.json", import.meta.url), "utf8")) as {
  dims: number[];
  pixels: string;
  images: string[];
  enlarged_3: string;
};
const bytes = (base64: string): Uint8Array => Uint8Array.from(Buffer.from(base64, "base64"));
const decodedPixels = { dims: fixture.dims, data: new Float32Array(bytes(fixture.pixels).buffer) };

const folder = mkdtempSync(join(tmpdir(), "blockcache-image-"));
afterAll(() => rmSync(folder, { recursive: true }));

const images = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }))
  .chain(([width, height]) =>
    fc
      .uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 })
      .map((rgb): RgbImage => ({ width, height, rgb })),
  );

async function decode(png: Buffer): Promise<RgbImage> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect(info.channels).toBe(3);
  return { width: info.width, height: info.height, rgb: Uint8Array.from(data) };
}

test("decoded pixels become the bytes of VaeImageProcessor().postprocess, ties included", () => {
  const converted = pixelsToImages(decodedPixels);
  expect(converted.map(({ rgb }) => rgb)).toEqual(fixture.images.map(bytes));
  expect([converted[0].width, converted[0].height]).toEqual([20, 30]);
});

test("enlarging equals Pillow's Image.resize(…, Resampling.NEAREST)", async () => {
  const large = await enlarge(pixelsToImages(decodedPixels)[0], 3);
  expect([large.width, large.height]).toEqual([60, 90]);
  expect(large.rgb).toEqual(bytes(fixture.enlarged_3));
});

test("each pixel of an enlarged image is its source pixel", async () => {
  await fc.assert(
    fc.asyncProperty(images, fc.integer({ min: 1, max: 17 }), async (image, factor) => {
      const large = await enlarge(image, factor);
      const expected = new Uint8Array(image.width * image.height * factor * factor * 3);
      for (let y = 0; y < image.height * factor; y++) {
        for (let x = 0; x < image.width * factor; x++) {
          const source = (Math.floor(y / factor) * image.width + Math.floor(x / factor)) * 3;
          expected.set(image.rgb.subarray(source, source + 3), (y * image.width * factor + x) * 3);
        }
      }
      expect(large.rgb).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test("a PNG holds exactly the picture, with and without text", async () => {
  await fc.assert(
    fc.asyncProperty(images, async (image) => {
      expect(await decode(await encodePng(image))).toEqual(image);
      expect(await decode(await encodePng(image, { prompt: "x" }))).toEqual(image);
    }),
    { numRuns: 40 },
  );
});

test("text in a PNG comes back, Unicode included", async () => {
  const png = await encodePng(
    { width: 1, height: 1, rgb: Uint8Array.of(1, 2, 3) },
    { prompt: "rote Äpfel 🍎", steps: "20" },
  );
  const { comments } = await sharp(png).metadata();
  expect(comments).toEqual([
    { keyword: "prompt", text: "rote Äpfel 🍎" },
    { keyword: "steps", text: "20" },
  ]);
});

test("a keyword that PNG does not allow is refused", async () => {
  const image: RgbImage = { width: 1, height: 1, rgb: new Uint8Array(3) };
  for (const keyword of ["", " prompt", "prompt ", "a\nb", "x".repeat(80), "🍎"]) {
    await expect(encodePng(image, { [keyword]: "text" })).rejects.toThrow(ArgumentError);
  }
  await expect(encodePng(image, { prompt: "a\0b" })).rejects.toThrow(ArgumentError);
});

test("a data URI holds the PNG", async () => {
  const image: RgbImage = { width: 2, height: 1, rgb: Uint8Array.of(255, 0, 0, 0, 0, 255) };
  const uri = await toDataUri(image);
  expect(uri).toMatch(/^data:image\/png;base64,/);
  expect(await decode(Buffer.from(uri.split(",")[1], "base64"))).toEqual(image);
});

test("saving leaves the picture and no temporary file, also when it fails", async () => {
  const image: RgbImage = { width: 1, height: 2, rgb: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  await saveImage(join(folder, "a.png"), image);
  expect(await decode(readFileSync(join(folder, "a.png")))).toEqual(image);
  await expect(saveImage(folder, image)).rejects.toThrow();
  expect(readdirSync(folder)).toEqual(["a.png"]);
  expect(readdirSync(tmpdir()).filter((name) => name.startsWith(`${folder.split("/").at(-1)}.`))).toEqual([]);
});

test("a montage of three single pixels, two a row, one pixel apart", () => {
  const pixel = (value: number): RgbImage => ({ width: 1, height: 1, rgb: Uint8Array.of(value, value, value) });
  const grid = montage([pixel(1), pixel(2), pixel(3)], 2, 1);
  expect([grid.width, grid.height]).toEqual([3, 3]);
  const grey = Array.from({ length: 9 }, (_, index) => grid.rgb[index * 3]);
  expect(grey).toEqual([1, 255, 2, 255, 255, 255, 3, 255, 255]);
});

test("refuses what is no picture", async () => {
  const image: RgbImage = { width: 2, height: 2, rgb: new Uint8Array(3) };
  await expect(encodePng(image)).rejects.toThrow(/2 × 2 needs 12 bytes, got 3/);
  await expect(enlarge({ ...image, rgb: new Uint8Array(12) }, 1.5)).rejects.toThrow(ArgumentError);
  expect(() => montage([], 2, 0)).toThrow(ArgumentError);
  expect(() => montage([image, { ...image, width: 3 }], 2, 0)).toThrow(/one size/);
  expect(() => pixelsToImages({ dims: [1, 4, 1, 1], data: new Float32Array(4) })).toThrow(
    /\[batch, 3, height, width\]/,
  );
  expect(() => pixelsToImages({ dims: [1, 3, 1, 1], data: Float32Array.of(0, NaN, 0) })).toThrow(/NaN/);
});
