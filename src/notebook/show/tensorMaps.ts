import type { RgbImage } from "../../diffusion/image.js";
import { elementCount } from "../../numerics/tensor.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { cividis } from "../../live/cividis.js";
import type { CaptionedPicture } from "./picturesBundle.js";

/** A tensor as pictures: a map for each of its last two dimensions' planes, in one colour scale. */
export interface TensorMaps {
  /** dimensions and the scale */
  readonly title: string;
  readonly maps: readonly CaptionedPicture[];
}

/** More planes than these are counted, not drawn. */
const MOST_MAPS = 64;
/** Not a number, or infinite: a colour that the scale does not have. */
const NOT_FINITE = [220, 20, 60] as const;

/** @param tensor […, height, width]; with fewer than two dimensions one row */
export function tensorMaps({ dims, data }: FloatTensor): TensorMaps {
  const [height, width] = dims.length < 2 ? [1, data.length] : dims.slice(-2);
  const outer = dims.slice(0, -2);
  let low = Infinity;
  let high = -Infinity;
  let odd = 0;
  for (const value of data) {
    if (!Number.isFinite(value)) odd++;
    else {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  const planes = elementCount(outer);
  const drawn = Math.min(planes, MOST_MAPS);
  const maps = Array.from({ length: drawn }, (_, plane) => ({
    image: draw(data.subarray(plane * height * width, (plane + 1) * height * width), { height, width, low, high }),
    caption: outer.length === 0 ? undefined : `[${indexOf(plane, outer).join(", ")}]`,
  }));
  const scale = odd === data.length ? "" : `, ${low.toPrecision(4)} (dark) to ${high.toPrecision(4)} (yellow)`;
  const title = [
    `tensor [${dims.join(", ")}]${scale}`,
    ...(odd > 0 ? [`${odd} not finite (red)`] : []),
    ...(drawn < planes ? [`the first ${drawn} of ${planes} maps`] : []),
  ].join("; ");
  return { title, maps };
}

function draw(
  values: Float32Array,
  { height, width, low, high }: { height: number; width: number; low: number; high: number },
): RgbImage {
  const rgb = new Uint8Array(3 * values.length);
  values.forEach((value, index) => {
    const share = high > low ? (value - low) / (high - low) : 0;
    rgb.set(Number.isFinite(value) ? cividis(share) : NOT_FINITE, 3 * index);
  });
  return { width, height, rgb };
}

/** The index of a plane in its outer dimensions. */
function indexOf(plane: number, outer: readonly number[]): number[] {
  const index: number[] = [];
  let rest = plane;
  for (const dim of [...outer].reverse()) {
    index.unshift(rest % dim);
    rest = Math.floor(rest / dim);
  }
  return index;
}
