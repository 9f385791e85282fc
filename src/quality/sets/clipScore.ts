import { ArgumentError } from "../../errors.js";
import { mean } from "../../instrument/profile/statistics.js";
import type { Features } from "../features/features.js";
import { RESAMPLES, eachRow, resamplings } from "./bootstrap.js";
import type { ResamplingOptions } from "./bootstrap.js";
import type { Measured } from "./measured.js";

/**
 * Mean cosine of pictures and what they should show, −1 to 1, from a CLIP's image and text embeddings (Hessel et al.
 * 2021 give 2.5 times this, others 100 times, both clipped at 0). Being a mean, it has no bias.
 *
 * @param texts the prompt of each picture
 * @throws ArgumentError where the two do not fit each other
 */
export function clipScore(
  pictures: Features,
  texts: Features,
  { groups = eachRow(pictures.pictures), resamples = RESAMPLES }: ResamplingOptions = {},
): Measured {
  const cosines = clipCosines(pictures, texts);
  const replicates = [...resamplings(groups, resamples)].map((rows) => mean(rows.map((row) => cosines[row])));
  return { value: mean(cosines), replicates };
}

/** The cosine of each picture with its text. */
export function clipCosines(pictures: Features, texts: Features): number[] {
  if (pictures.width !== texts.width || pictures.pictures !== texts.pictures)
    throw new ArgumentError(
      `clip score: expected a text embedding of width ${pictures.width} for each of ${pictures.pictures} pictures, found ${texts.pictures} of width ${texts.width}`,
    );
  const { width } = pictures;
  return Array.from({ length: pictures.pictures }, (_, row) => {
    let [product, lengthX, lengthY] = [0, 0, 0];
    for (let index = row * width; index < (row + 1) * width; index++) {
      const [x, y] = [pictures.data[index], texts.data[index]];
      product += x * y;
      lengthX += x * x;
      lengthY += y * y;
    }
    return product / Math.sqrt(lengthX * lengthY);
  });
}
