/** Small pictures of live cells as BMP, read back by the format's own description. */
import { describe, expect, it } from "vitest";
import type { RgbImage } from "../../src/diffusion/image.js";
import { bitmapUri } from "../../src/live/bitmap.js";

/** https://learn.microsoft.com/windows/win32/gdi/bitmap-storage: BITMAPFILEHEADER, BITMAPINFOHEADER, rows of BGR. */
function decode(uri: string): {
  readonly head: Record<string, number | string>;
  readonly image: RgbImage;
  readonly padding: number[];
} {
  const [kind, content] = uri.split(",");
  expect(kind).toBe("data:image/bmp;base64");
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const u16 = (offset: number): number => view.getUint16(offset, true);
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const i32 = (offset: number): number => view.getInt32(offset, true);
  const head = {
    type: String.fromCharCode(bytes[0], bytes[1]),
    fileBytes: u32(2),
    reserved: u32(6),
    pixelsAt: u32(10),
    infoBytes: u32(14),
    width: i32(18),
    height: i32(22),
    planes: u16(26),
    bitsAPixel: u16(28),
    compression: u32(30),
    coloursUsed: u32(46),
  };
  expect(bytes.length).toBe(head.fileBytes);
  const rgb = new Uint8Array(3 * head.width * head.height);
  const padding: number[] = [];
  let offset = head.pixelsAt;
  // A height above 0 means that the bottom row comes first; each begins at a multiple of four bytes.
  for (let y = head.height - 1; y >= 0; y--) {
    for (let x = 0; x < head.width; x++) {
      const [blue, green, red] = bytes.subarray(offset, offset + 3);
      rgb.set([red, green, blue], 3 * (y * head.width + x));
      offset += 3;
    }
    for (; (offset - head.pixelsAt) % 4 !== 0; offset++) padding.push(bytes[offset]);
  }
  expect(offset).toBe(bytes.length);
  return { head, image: { width: head.width, height: head.height, rgb }, padding };
}

describe("a bitmap", () => {
  it.each([1, 2, 3, 4, 5])("of %i pixels a row has every pixel in its place", (width) => {
    const height = 3;
    // every byte another one
    const rgb = Uint8Array.from({ length: 3 * width * height }, (_, index) => (37 * index + 11) % 256);
    expect(new Set(rgb).size).toBe(rgb.length);
    const { head, image, padding } = decode(bitmapUri({ width, height, rgb }));
    expect(image).toEqual({ width, height, rgb });
    const stride = [4, 8, 12, 12, 16][width - 1];
    expect(head).toEqual({
      type: "BM",
      fileBytes: 54 + 3 * stride,
      reserved: 0,
      pixelsAt: 54,
      infoBytes: 40,
      width,
      height,
      planes: 1,
      bitsAPixel: 24,
      compression: 0,
      coloursUsed: 0,
    });
    expect(padding).toEqual(Array(height * (stride - 3 * width)).fill(0));
  });
});
