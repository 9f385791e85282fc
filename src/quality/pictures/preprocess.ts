/** Turns pictures into what a feature extractor takes. */
import { UnsupportedError } from "../../errors.js";
import type { RgbImage } from "../../diffusion/image.js";
import { INCEPTION_SIZE } from "../../graphs/inceptionV3.js";
import type { ImageProcessorConfig } from "../../models/configs/imageProcessor.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { resizeBytes, resizeFloats } from "./resize.js";

/**
 * As transformers' CLIPImageProcessor with Pillow: resize, crop the middle, rescale, normalise.
 *
 * @returns pixels [pictures, 3, height, width]
 * @throws UnsupportedError where a picture is smaller than the crop
 */
export function clipPixels(pictures: readonly RgbImage[], config: ImageProcessorConfig): FloatTensor {
  const scale = config.do_rescale ? config.rescale_factor : 1;
  const mean = config.do_normalize ? config.image_mean : [0, 0, 0];
  const deviation = config.do_normalize ? config.image_std : [1, 1, 1];
  const prepared = pictures.map((picture) => {
    const resized = config.do_resize ? resizeBytes(picture, sizeFor(picture, config.size), config.filter) : picture;
    return config.do_center_crop ? cropMiddle(resized, config.crop_size) : resized;
  });
  return stackedPixels(prepared, (value, channel) => (Math.fround(value * scale) - mean[channel]) / deviation[channel]);
}

/**
 * As clean-fid before Inception-v3: each channel resized as float32 (bicubic), clipped to 0…255, then (x − 128) / 128.
 */
export function inceptionPixels(pictures: readonly RgbImage[]): FloatTensor {
  const size = { width: INCEPTION_SIZE, height: INCEPTION_SIZE };
  const resized = pictures.map((picture) => resizeFloats(picture, size, "bicubic"));
  return stackedPixels(resized, (value) => (Math.min(255, Math.max(0, value)) - 128) / 128);
}

/** `shortest_edge` keeps the shape; the longer side is rounded down, as transformers does. */
function sizeFor({ width, height }: RgbImage, size: ImageProcessorConfig["size"]): { width: number; height: number } {
  if (!("shortest_edge" in size)) return size;
  const short = size.shortest_edge;
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? { width: short, height: long } : { width: long, height: short };
}

function cropMiddle({ width, height, rgb }: RgbImage, crop: ImageProcessorConfig["crop_size"]): RgbImage {
  if (width < crop.width || height < crop.height)
    throw new UnsupportedError(
      `preprocessor_config.json: crop_size: expected at most the resized picture's ${width}×${height}, found ${crop.width}×${crop.height}`,
    );
  const [left, top] = [(width - crop.width) >> 1, (height - crop.height) >> 1];
  const cropped = new Uint8Array(3 * crop.width * crop.height);
  for (let row = 0; row < crop.height; row++) {
    const start = 3 * ((top + row) * width + left);
    cropped.set(rgb.subarray(start, start + 3 * crop.width), 3 * row * crop.width);
  }
  return { ...crop, rgb: cropped };
}

/** Interleaved pictures of one size, each number passed through `value` → [pictures, 3, height, width] */
export function stackedPixels(
  pictures: readonly { readonly width: number; readonly height: number; readonly rgb: Uint8Array | Float32Array }[],
  value: (raw: number, channel: number) => number,
): FloatTensor {
  const [{ width, height }] = pictures;
  const area = width * height;
  const data = new Float32Array(pictures.length * 3 * area);
  pictures.forEach(({ rgb }, picture) => {
    for (let channel = 0; channel < 3; channel++) {
      const start = (3 * picture + channel) * area;
      for (let pixel = 0; pixel < area; pixel++) data[start + pixel] = value(rgb[3 * pixel + channel], channel);
    }
  });
  return { dims: [pictures.length, 3, height, width], data };
}
