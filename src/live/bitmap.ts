import type { RgbImage } from "../diffusion/image.js";

/** Bytes before the pixels: the file header and BITMAPINFOHEADER. */
const HEADER_BYTES = 54;

/**
 * A small picture as `data:image/bmp;base64,…`, uncompressed: small pictures are there in microseconds, and no
 * codec's threads take their turn from the network's.
 */
export function bitmapUri({ width, height, rgb }: RgbImage): string {
  const stride = 4 * Math.ceil((3 * width) / 4);
  const file = Buffer.alloc(HEADER_BYTES + stride * height);
  file.write("BM", 0, "latin1");
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(HEADER_BYTES, 10);
  file.writeUInt32LE(HEADER_BYTES - 14, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  // Rows from the bottom, blue first.
  for (let y = 0; y < height; y++) {
    const row = HEADER_BYTES + (height - 1 - y) * stride;
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 3; channel++)
        file[row + 3 * x + channel] = rgb[3 * (y * width + x) + 2 - channel];
    }
  }
  return `data:image/bmp;base64,${file.toString("base64")}`;
}
