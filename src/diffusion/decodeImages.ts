import type { FloatTensor } from "../models/tensor.js";
import { elementCount } from "../models/tensor.js";
import type { RgbImage } from "./image.js";
import type { Pipeline } from "./pipeline.js";
import { pixelsToImages } from "./pixels.js";

/** Latents as images, one at a time so that the autoencoder's memory does not grow with the batch. */
export async function decodeImages(pipeline: Pipeline, latents: FloatTensor): Promise<RgbImage[]> {
  const images: RgbImage[] = [];
  const [batch, ...rest] = latents.dims;
  const length = elementCount(rest);
  for (let row = 0; row < batch; row++) {
    const data = latents.data.subarray(row * length, (row + 1) * length);
    images.push(...pixelsToImages(await pipeline.decode({ dims: [1, ...rest], data })));
  }
  return images;
}
