import type { RgbImage } from "../../diffusion/image.js";
import { ArgumentError } from "../../errors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { featureLayout } from "./featureLayout.js";
import type { PrincipalComponents } from "./pca.js";

/** The score that becomes black and the one that becomes full colour, for each component. */
export interface ColourScale {
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** Outliers beyond these percentiles are clipped, so that one pixel does not flatten all others. */
const LOW_PERCENTILE = 1;
const HIGH_PERCENTILE = 99;
const MID_GREY = 128;

/**
 * Projects one batch row of a feature map [batch, channels, height, width] onto components:
 * score = components · (pixel − mean).
 *
 * @returns the scores, float32 [k, height, width].
 * @throws ArgumentError when the channels differ from the fitted ones, or the row is not there.
 */
export function projectFeatures(tensor: FloatTensor, row: number, components: PrincipalComponents): FloatTensor {
  const channels = components.mean.length;
  const k = components.explainedVariance.length;
  const { height, width, pixels, rowStart } = featureLayout(tensor, channels);
  const start = rowStart(row);
  const data = new Float32Array(k * pixels);
  for (let component = 0; component < k; component++) {
    const scores = new Float64Array(pixels);
    for (let channel = 0; channel < channels; channel++) {
      const weight = components.components[component * channels + channel];
      const source = start + channel * pixels;
      const mean = components.mean[channel];
      for (let pixel = 0; pixel < pixels; pixel++) scores[pixel] += weight * (tensor.data[source + pixel] - mean);
    }
    data.set(scores, component * pixels);
  }
  return { dims: [k, height, width], data };
}

/**
 * One colour scale for all the maps passed (all steps of a strip, say): per component the 1st and
 * 99th percentile of its scores over all maps, linearly interpolated as numpy.percentile does.
 *
 * @param maps scores [k, height, width] of one k; sizes may differ.
 * @throws ArgumentError with no maps, maps of different k, or scores that are not finite.
 */
export function colourScale(maps: readonly FloatTensor[]): ColourScale {
  if (maps.length === 0) throw new ArgumentError("colourScale: at least one map is needed, got none");
  const k = maps[0].dims[0];
  const low: number[] = [];
  const high: number[] = [];
  for (let component = 0; component < k; component++) {
    const scores = sortedScores(maps, component, k);
    low.push(percentile(scores, LOW_PERCENTILE));
    high.push(percentile(scores, HIGH_PERCENTILE));
  }
  return { low, high };
}

/**
 * Maps of three components as pictures: component 1 in red, 2 in green, 3 in blue, one colour scale
 * for all, so that equal colours mean equal scores. A component without spread is mid grey (128).
 *
 * @param maps scores [3, height, width] ({@link projectFeatures}).
 * @param scale the scale to use; by default that of these maps ({@link colourScale}).
 * @throws ArgumentError when a map or the scale does not have three components.
 */
export function toRgb(maps: readonly FloatTensor[], scale: ColourScale = colourScale(maps)): RgbImage[] {
  if (scale.low.length !== 3 || scale.high.length !== 3) {
    throw new ArgumentError(
      `toRgb: a colour scale of three components is needed, got ${scale.low.length}; fit with k = 3`,
    );
  }
  return maps.map((map) => {
    const [k, height, width] = checkedDims(map, 3);
    const pixels = height * width;
    const rgb = new Uint8Array(k * pixels);
    for (let component = 0; component < k; component++) {
      const low = scale.low[component];
      const spread = scale.high[component] - low;
      for (let pixel = 0; pixel < pixels; pixel++) {
        const share = (map.data[component * pixels + pixel] - low) / spread;
        rgb[pixel * 3 + component] = spread > 0 ? Math.round(255 * Math.min(1, Math.max(0, share))) : MID_GREY;
      }
    }
    return { width, height, rgb };
  });
}

function checkedDims(map: FloatTensor, k: number): readonly number[] {
  if (map.dims.length !== 3 || map.dims[0] !== k) {
    throw new ArgumentError(`a feature map's scores must be [${k}, height, width], got [${map.dims.join(", ")}]`);
  }
  return map.dims;
}

function sortedScores(maps: readonly FloatTensor[], component: number, k: number): Float64Array {
  const parts = maps.map((map) => {
    const [, height, width] = checkedDims(map, k);
    return map.data.subarray(component * height * width, (component + 1) * height * width);
  });
  const scores = new Float64Array(parts.reduce((total, part) => total + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    scores.set(part, offset);
    offset += part.length;
  }
  if (scores.length === 0 || !scores.every(Number.isFinite)) {
    throw new ArgumentError(
      `colourScale: component ${component} has no scores, or some that are not finite (NaN or Infinity)`,
    );
  }
  return scores.sort();
}

function percentile(sorted: Float64Array, percent: number): number {
  const position = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(position);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (position - below);
}
