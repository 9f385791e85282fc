import { writeFile } from "node:fs/promises";
import sharp from "sharp";
import type { Sharp } from "sharp";
import { ArgumentError } from "../errors.js";
import { replaceFile } from "../files/replaceFile.js";
import { withPngText } from "./pngText.js";

/** A picture of 8 bits per channel, rows from the top, R G B interleaved: [height, width, 3]. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/**
 * A lossless PNG.
 *
 * @param text keyword → text, kept in the file (the prompt and settings, say); Pillow reads it
 *   as `image.text`.
 * @throws ArgumentError when `rgb` is not width × height × 3 long, or a keyword is not one that PNG allows.
 */
export async function encodePng(image: RgbImage, text: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  return withPngText(await raw(image).png().toBuffer(), text);
}

/** The picture as `data:image/png;base64,…`, for HTML and notebook output. */
export async function toDataUri(image: RgbImage): Promise<string> {
  return `data:image/png;base64,${(await encodePng(image)).toString("base64")}`;
}

/**
 * Each pixel becomes a square of factor × factor equal ones (nearest neighbour): larger, with
 * no detail invented.
 *
 * @throws ArgumentError when factor is not a positive integer.
 */
export async function enlarge(image: RgbImage, factor: number): Promise<RgbImage> {
  if (!Number.isInteger(factor) || factor < 1) {
    throw new ArgumentError(`enlarge: factor must be a positive integer, got ${factor}`);
  }
  const width = image.width * factor;
  const height = image.height * factor;
  const rgb = await raw(image).resize(width, height, { kernel: "nearest", fit: "fill" }).raw().toBuffer();
  return { width, height, rgb: Uint8Array.from(rgb) };
}

/**
 * Writes a PNG ({@link encodePng}), first under a temporary name beside the target, so that an interrupted write leaves
 * no broken picture.
 *
 * @throws the file system's own error when the folder is missing or not writable.
 */
export async function saveImage(
  path: string,
  image: RgbImage,
  text: Readonly<Record<string, string>> = {},
): Promise<void> {
  const png = await encodePng(image, text);
  await replaceFile(path, (temporary) => writeFile(temporary, png));
}

function raw(image: RgbImage): Sharp {
  const { width, height, rgb } = image;
  if (rgb.length !== width * height * 3) {
    throw new ArgumentError(`an image of ${width} × ${height} needs ${width * height * 3} bytes, got ${rgb.length}`);
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } });
}
