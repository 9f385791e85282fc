import { ArgumentError, NotFiniteError } from "../errors.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { RgbImage } from "./image.js";

/**
 * The VAE decoder's output as pictures, exactly as diffusers makes them (VaeImageProcessor: `denormalize`, then
 * `numpy_to_pil`): (x · 0.5 + 0.5) clamped to 0…1, times 255, rounded half to even, each step in float32.
 *
 * @param pixels [batch, 3, height, width], nominally −1…1.
 * @throws ArgumentError for another shape; NotFiniteError for NaN (diffusers gives a black picture and a warning).
 */
export function pixelsToImages(pixels: FloatTensor): RgbImage[] {
  const [batch, channels, height, width] = pixels.dims;
  if (pixels.dims.length !== 4 || channels !== 3 || elementCount(pixels.dims) !== pixels.data.length) {
    throw new ArgumentError(
      `decoded pixels must be [batch, 3, height, width], got [${pixels.dims.join(", ")}] with ${pixels.data.length} values`,
    );
  }
  const area = height * width;
  return Array.from({ length: batch }, (_, row) => {
    const rgb = new Uint8Array(3 * area);
    for (let channel = 0; channel < 3; channel++) {
      const start = (row * 3 + channel) * area;
      for (let pixel = 0; pixel < area; pixel++) rgb[pixel * 3 + channel] = toByte(pixels.data[start + pixel]);
    }
    return { width, height, rgb };
  });
}

function toByte(value: number): number {
  if (Number.isNaN(value)) {
    throw new NotFiniteError(
      "decoded pixels: expected numbers, found NaN: the autoencoder overflowed — decode with precision float32, where that was float16",
    );
  }
  const share = Math.min(1, Math.max(0, Math.fround(value * 0.5 + 0.5)));
  const scaled = Math.fround(share * 255);
  const below = Math.floor(scaled);
  const rest = scaled - below;
  const roundsUp = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  return roundsUp ? below + 1 : below;
}
