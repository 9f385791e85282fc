/**
 * Running sums of products, channel by channel: all that least squares needs to know of the feature maps that it was
 * shown, so that a fit's memory does not grow with their number. With a stand-in x, a constant 1 and a target y they
 * are the classic n, Σx, Σy, Σxx, Σxy, and Σyy for the error.
 */
import { ArgumentError } from "../../errors.js";

export interface Moments {
  /** how many quantities are multiplied with each other */
  readonly quantities: number;
  readonly channels: number;
  /** Σ qᵢ·qⱼ over elements, [channels, pairs i ≤ j]: (0,0), (0,1), …, (1,1), … */
  readonly products: Float64Array;
}

/** One quantity over a batch: feature maps [rows, channels, pixels] as numbers, or one value everywhere. */
export type Quantity = Float32Array | number;

export function emptyMoments(quantities: number, channels: number): Moments {
  return { quantities, channels, products: new Float64Array(channels * pairCount(quantities)) };
}

/** Where the sum of two quantities' products stands among a channel's. */
export function pairIndex(quantities: number, one: number, other: number): number {
  const [i, j] = one <= other ? [one, other] : [other, one];
  return i * quantities - (i * (i - 1)) / 2 + (j - i);
}

export function pairCount(quantities: number): number {
  return (quantities * (quantities + 1)) / 2;
}

/**
 * Adds feature maps to the sums.
 *
 * @param values the quantities, in their order; maps are [rows, width, pixels] with the same extent
 * @param width channels of a map
 * @param firstChannel of each row that counts: the moments' channel that its first channel is added to, so that
 *   guidance halves can be told apart. A row that is absent is not added
 */
export function addMaps(
  moments: Moments,
  values: readonly Quantity[],
  { rows, width, firstChannel }: { rows: number; width: number; firstChannel: ReadonlyMap<number, number> },
): void {
  const { quantities, products } = moments;
  const map = values.find((value) => typeof value !== "number");
  if (map === undefined) throw new ArgumentError("moments: expected a feature map among the quantities, found none");
  const pixels = map.length / (rows * width);
  const pairs = pairCount(quantities);
  for (const [row, first] of firstChannel) {
    for (let channel = 0; channel < width; channel++) {
      const from = (row * width + channel) * pixels;
      let place = (first + channel) * pairs;
      for (let i = 0; i < quantities; i++) {
        for (let j = i; j < quantities; j++) products[place++] += product(values[i], values[j], from, from + pixels);
      }
    }
  }
}

function product(one: Quantity, other: Quantity, from: number, to: number): number {
  if (typeof one === "number") {
    if (typeof other === "number") return one * other * (to - from);
    return one === 0 ? 0 : one * sum(other, from, to);
  }
  if (typeof other === "number") return other === 0 ? 0 : other * sum(one, from, to);
  let total = 0;
  for (let index = from; index < to; index++) total += one[index] * other[index];
  return total;
}

function sum(values: Float32Array, from: number, to: number): number {
  let total = 0;
  for (let index = from; index < to; index++) total += values[index];
  return total;
}

/** Adds other sums, each times a weight. */
export function addWeighted(moments: Moments, others: Moments, weight: number): void {
  others.products.forEach((product, index) => (moments.products[index] += weight * product));
}

/** The sums of several parts are the sums of the whole. */
export function mergeMoments(parts: readonly Moments[]): Moments {
  const [{ quantities, channels }] = parts;
  const merged = emptyMoments(quantities, channels);
  for (const part of parts) {
    if (part.quantities !== quantities || part.channels !== channels)
      throw new ArgumentError(
        `moments: expected ${quantities} quantities of ${channels} channels, found ${part.quantities} of ${part.channels}`,
      );
    for (let index = 0; index < merged.products.length; index++) merged.products[index] += part.products[index];
  }
  return merged;
}

/** All channels as one: for coefficients that a whole block shares. */
export function poolChannels({ quantities, channels, products }: Moments): Moments {
  const pairs = pairCount(quantities);
  const pooled = emptyMoments(quantities, 1);
  for (let channel = 0; channel < channels; channel++)
    for (let pair = 0; pair < pairs; pair++) pooled.products[pair] += products[channel * pairs + pair];
  return pooled;
}
