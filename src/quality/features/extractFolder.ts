import { join } from "node:path";
import { throwIfAborted } from "../../interruption.js";
import type { RgbImage } from "../../diffusion/image.js";
import { readPicture, requireSize } from "../pictures/readPictures.js";
import { featuresOf } from "./features.js";
import type { FeatureExtractor, Features } from "./features.js";

export interface ExtractOptions {
  /** accept pictures of several sizes, each resized on its own. Default: refuse them */
  readonly mixedSizes?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** How many pictures are in memory at a time. */
const AT_ONCE = 16;

/**
 * Features of a folder's pictures, one row each, in the order of the names.
 *
 * @param names of the files in the folder, as `pictureNames` gives them
 * @throws InvalidFileError for a picture that is damaged or of another size; ArgumentError for features that are not
 *   finite; InterruptedError
 */
export async function extractFolder(
  extractor: Pick<FeatureExtractor, "id" | "embed">,
  folder: string,
  names: readonly string[],
  { mixedSizes = false, onProgress, signal }: ExtractOptions = {},
): Promise<Features> {
  const rows: Float32Array[] = [];
  let first: RgbImage | undefined;
  for (let start = 0; start < names.length; start += AT_ONCE) {
    throwIfAborted(signal, "extracting features");
    const pictures: RgbImage[] = [];
    for (const name of names.slice(start, start + AT_ONCE)) {
      const picture = await readPicture(join(folder, name));
      first ??= picture;
      if (!mixedSizes) requireSize(join(folder, name), picture, { ...first, name: names[0] });
      pictures.push(picture);
    }
    rows.push((await extractor.embed(pictures)).data);
    onProgress?.(start + pictures.length, names.length);
  }
  const data = new Float32Array(rows.reduce((sum, { length }) => sum + length, 0));
  rows.forEach((row, index) => data.set(row, index * rows[0].length));
  return featuresOf({ dims: [names.length, data.length / names.length], data }, extractor.id);
}
