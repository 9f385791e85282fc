import { throwIfAborted } from "../interruption.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { elementCount } from "../numerics/tensor.js";
import type { RgbImage } from "./image.js";
import type { Pipeline } from "./pipeline.js";
import { pixelsToImages } from "./pixels.js";

/**
 * Latents as pictures, decoded one at a time so that the autoencoder's memory does not grow with the batch.
 *
 * @param latents [images, channels, height, width] as sampled
 * @param signal checked before each image
 * @throws InterruptedError on abort; NotFiniteError where the autoencoder gives NaN; InvalidFileError,
 *   UnsupportedError for its weights
 */
export async function decodeImages(
  pipeline: Pipeline,
  latents: FloatTensor,
  signal?: AbortSignal,
): Promise<RgbImage[]> {
  const images: RgbImage[] = [];
  const [batch, ...rest] = latents.dims;
  const length = elementCount(rest);
  for (let row = 0; row < batch; row++) {
    throwIfAborted(signal, "decoding");
    const data = latents.data.subarray(row * length, (row + 1) * length);
    images.push(...pixelsToImages(await pipeline.decode({ dims: [1, ...rest], data })));
  }
  return images;
}
