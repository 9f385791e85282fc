import { ArgumentError } from "../../errors.js";
import { elementCount } from "../../numerics/tensor.js";
import type { FloatTensor } from "../../numerics/tensor.js";

/** Where the pixels of a feature map [batch, channels, height, width] lie in its data. */
export interface FeatureLayout {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** height × width. */
  readonly pixels: number;
  /** Index of the first element of a batch row. */
  rowStart(row: number): number;
}

/**
 * Reads a feature map's shape.
 *
 * @param channels the number of channels it must have, when that is known.
 * @throws ArgumentError when the tensor is not [batch, channels, height, width], or holds another
 *   number of values or channels; `rowStart` throws it for a row outside the batch.
 */
export function featureLayout(tensor: FloatTensor, channels?: number): FeatureLayout {
  const shape = `[${tensor.dims.join(", ")}]`;
  if (tensor.dims.length !== 4) {
    throw new ArgumentError(`a feature map must be [batch, channels, height, width], got ${shape}`);
  }
  if (elementCount(tensor.dims) !== tensor.data.length) {
    throw new ArgumentError(`a feature map of shape ${shape} cannot hold ${tensor.data.length} values`);
  }
  const [batch, found, height, width] = tensor.dims;
  if (channels !== undefined && found !== channels) {
    throw new ArgumentError(
      `a feature map of ${channels} channels is needed here, got ${shape}: take tensors of one block`,
    );
  }
  return {
    batch,
    channels: found,
    height,
    width,
    pixels: height * width,
    rowStart(row) {
      if (!Number.isInteger(row) || row < 0 || row >= batch) {
        throw new ArgumentError(`batch row ${row} is not in a feature map of shape ${shape}`);
      }
      return row * found * height * width;
    },
  };
}
