import type { FloatTensor } from "../numerics/tensor.js";

/**
 * The embedding of the guidance scale that a distilled network reads (Luo et al. 2023; diffusers'
 * `get_guidance_scale_embedding`): sines, then cosines, of 1000 (w − 1), every operation in float32. diffusers
 * counts w from 1, where the paper counts from 0.
 *
 * @returns the same row for each image [images, width]
 */
export function embedGuidanceScale(guidanceScale: number, width: number, images: number): FloatTensor {
  const value = Math.fround(Math.fround(guidanceScale - 1) * 1000);
  const half = width >> 1;
  const step = Math.fround(Math.fround(Math.log(10000)) / (half - 1));
  const row = new Float32Array(width);
  for (let index = 0; index < half; index++) {
    const angle = Math.fround(value * Math.fround(Math.exp(Math.fround(-step * index))));
    row[index] = Math.sin(angle);
    row[half + index] = Math.cos(angle);
  }
  const data = new Float32Array(images * width);
  for (let image = 0; image < images; image++) data.set(row, image * width);
  return { dims: [images, width], data };
}
