import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { featureLayout } from "./featureLayout.js";

/**
 * Mean and covariance of a block's feature maps, each pixel being one observation of
 * `channels` variables. Memory is one [channels, channels] float64 matrix (13 MB at 1280
 * channels) plus one chunk of pixels, however many steps are added.
 */
export interface CovarianceAccumulator {
  readonly channels: number;
  /** Number of pixels added so far. */
  readonly count: number;
  /** Mean of each channel, float64 [channels]; zeros until something is added. */
  readonly mean: Float64Array;
  /**
   * Adds every pixel of a tensor [batch, channels, height, width], or only of its batch row `row`.
   *
   * @throws ArgumentError when the shape or the row does not fit, or a value is not finite;
   *   the accumulator must not be used further after a value that is not finite.
   */
  add(tensor: FloatTensor, row?: number): void;
  /**
   * The sample covariance (divided by count − 1), float64 [channels, channels], row-major.
   *
   * @throws ArgumentError with fewer than two pixels.
   */
  covariance(): Float64Array;
}

/** Bounds the centred float64 copy to channels × 1024 × 8 bytes (10 MB at 1280 channels). */
const PIXELS_PER_CHUNK = 1024;

/**
 * An empty accumulator for feature maps of this many channels.
 *
 * Chunks of pixels are centred on their own mean and merged by the pairwise update of Chan,
 * Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
 * Variances" (1979), which stays accurate where the mean is large against the deviation:
 *
 *     M ← M + M_chunk + δ δᵀ · n n_chunk / (n + n_chunk),   δ = mean_chunk − mean
 *
 * @throws ArgumentError when `channels` is not a positive integer.
 */
export function createCovariance(channels: number): CovarianceAccumulator {
  if (!Number.isInteger(channels) || channels < 1) {
    throw new ArgumentError(`createCovariance: channels must be a positive integer, got ${channels}`);
  }
  const mean = new Float64Array(channels);
  // Upper triangle of the summed products of deviations.
  const scatter = new Float64Array(channels * channels);
  const chunkMean = new Float64Array(channels);
  let count = 0;

  function addChunk(data: Float32Array, start: number, pixels: number, from: number, to: number): void {
    const length = to - from;
    const centred = new Float64Array(channels * length);
    for (let channel = 0; channel < channels; channel++) {
      const source = start + channel * pixels + from;
      let sum = 0;
      for (let pixel = 0; pixel < length; pixel++) sum += data[source + pixel];
      if (!Number.isFinite(sum)) {
        throw new ArgumentError(`covariance: channel ${channel} holds a value that is not finite (NaN or Infinity)`);
      }
      const average = sum / length;
      chunkMean[channel] = average;
      for (let pixel = 0; pixel < length; pixel++) {
        centred[channel * length + pixel] = data[source + pixel] - average;
      }
    }
    addScatter(scatter, centred, channels, length);

    const total = count + length;
    const weight = (count * length) / total;
    const delta = chunkMean.map((value, channel) => value - mean[channel]);
    for (let i = 0; i < channels; i++) {
      for (let j = i; j < channels; j++) scatter[i * channels + j] += delta[i] * delta[j] * weight;
      mean[i] += (delta[i] * length) / total;
    }
    count = total;
  }

  return {
    channels,
    mean,
    get count() {
      return count;
    },
    add(tensor, row) {
      const layout = featureLayout(tensor, channels);
      const rows = row === undefined ? Array.from({ length: layout.batch }, (_, index) => index) : [row];
      for (const index of rows) {
        const start = layout.rowStart(index);
        for (let from = 0; from < layout.pixels; from += PIXELS_PER_CHUNK) {
          addChunk(tensor.data, start, layout.pixels, from, Math.min(from + PIXELS_PER_CHUNK, layout.pixels));
        }
      }
    },
    covariance() {
      if (count < 2) {
        throw new ArgumentError(`covariance: at least two pixels are needed, got ${count}; add a tensor first`);
      }
      const matrix = new Float64Array(channels * channels);
      for (let i = 0; i < channels; i++) {
        for (let j = i; j < channels; j++) {
          const value = scatter[i * channels + j] / (count - 1);
          matrix[i * channels + j] = value;
          matrix[j * channels + i] = value;
        }
      }
      return matrix;
    },
  };
}

/**
 * scatter += centred · centredᵀ, upper triangle; centred [channels, length].
 * Two rows by two columns at a time, so that each loaded value serves twice.
 */
function addScatter(scatter: Float64Array, centred: Float64Array, channels: number, length: number): void {
  for (let i = 0; i < channels; i += 2) {
    const hasSecondRow = i + 1 < channels;
    const a0 = i * length;
    const a1 = hasSecondRow ? a0 + length : a0;
    for (let j = i; j < channels; j += 2) {
      const hasSecondColumn = j + 1 < channels;
      const b0 = j * length;
      const b1 = hasSecondColumn ? b0 + length : b0;
      let s00 = 0;
      let s01 = 0;
      let s10 = 0;
      let s11 = 0;
      for (let pixel = 0; pixel < length; pixel++) {
        const x0 = centred[a0 + pixel];
        const x1 = centred[a1 + pixel];
        const y0 = centred[b0 + pixel];
        const y1 = centred[b1 + pixel];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
      }
      scatter[i * channels + j] += s00;
      if (hasSecondColumn) scatter[i * channels + j + 1] += s01;
      // On the diagonal tile this lands below the diagonal, where nothing reads it.
      if (hasSecondRow) scatter[(i + 1) * channels + j] += s10;
      if (hasSecondRow && hasSecondColumn) scatter[(i + 1) * channels + j + 1] += s11;
    }
  }
}
