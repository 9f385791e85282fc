/** Where a spatial transformer looks over a run, as pictures. */
import { enlarge, toDataUri } from "../../diffusion/image.js";
import type { RgbImage } from "../../diffusion/image.js";
import { montage } from "../../diffusion/montage.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Extent } from "../../graphs/block.js";
import { attentionsOf, hookAttention } from "../../instrument/attention/attentionHook.js";
import { cividis } from "../cividis.js";
import type { AttentionRow, BlockStrip } from "../worker.js";

/** Pixels that the maps over the pixels look from, as shares of width and height. */
const PLACES = [
  ["from the middle", 0.5, 0.5],
  ["upper left", 0.25, 0.25],
  ["upper right", 0.75, 0.25],
  ["lower left", 0.25, 0.75],
  ["lower right", 0.75, 0.75],
] as const;
/** Small maps are enlarged to about so many pixels a side. */
const MAP_PIXELS = 32;
/** The pixel that a map looks from: not among cividis's colours. */
const MARK = [255, 0, 90] as const;

export interface AttentionRecording {
  readonly hook: SamplingHook;
  /** the pictures, when the run is over */
  pictures(): Promise<NonNullable<BlockStrip["attention"]>>;
}

/**
 * Records the mean over layers and heads of the conditional half's attention.
 *
 * @returns nothing where the block has none
 */
export function recordAttention(
  pipeline: Pipeline,
  block: string,
  extent: Extent,
  prompt: string,
  evaluations: readonly number[],
): AttentionRecording | undefined {
  const attentions = attentionsOf(pipeline, block);
  if (attentions.length === 0) return undefined;
  const { height, width } = extent;
  const places = PLACES.map(([, x, y]) => Math.floor(y * height) * width + Math.floor(x * width));
  const sums = { text: [] as Float64Array[], pixels: [] as Float64Array[] };
  const layers = { text: 0, pixels: 0 };
  for (const { attention } of attentions) layers[attention.to]++;
  const hook = hookAttention(
    pipeline,
    block,
    ({ to, step, weights: { dims, data } }) => {
      const [rows, queries, keys] = dims;
      const conditional = data.subarray((rows - 1) * queries * keys);
      const at = evaluations.indexOf(step);
      const sum = (sums[to][at] ??= new Float64Array(queries * keys));
      for (let index = 0; index < sum.length; index++) sum[index] += conditional[index] / layers[to];
    },
    { steps: evaluations, pixels: places },
  );
  return {
    hook,
    async pictures() {
      const text = tokenMaps(pipeline, prompt, sums.text).map(({ label, share, maps }) =>
        rowOf(label, maps, extent, share),
      );
      const pixels =
        sums.pixels.length === 0
          ? []
          : PLACES.map(([label], place) => {
              const maps = sums.pixels.map((sum) => sum.subarray(place * height * width, (place + 1) * height * width));
              return rowOf(label, maps, extent, undefined, places[place]);
            });
      return { text: await Promise.all(text), pixels: await Promise.all(pixels) };
    },
  };
}

/** The columns of the weights [pixels, tokens]: a map a token and evaluation; what fills up the prompt counts as one. */
function tokenMaps(
  { text }: Pipeline,
  prompt: string,
  weights: readonly Float64Array[],
): { label: string; share: number; maps: Float64Array[] }[] {
  const [{ length, tokensOf, expandVectors }] = text.tokenizers;
  const found = tokensOf(expandVectors(prompt));
  const tokens = found.map(({ text: word, place }, index) => ({
    label: index === 0 ? "(start)" : index === found.length - 1 ? "(end)" : word,
    places: [place],
  }));
  const named = new Set(tokens.flatMap(({ places }) => places));
  const padding = [...Array(length).keys()].filter((place) => !named.has(place));
  const all = padding.length === 0 ? tokens : [...tokens, { label: "(filled up)", places: padding }];
  return all.map(({ label, places }) => {
    const maps = weights.map((each) =>
      Float64Array.from({ length: each.length / length }, (_, pixel) =>
        places.reduce((sum, place) => sum + each[pixel * length + place], 0),
      ),
    );
    const share = maps.reduce((sum, map) => sum + map.reduce((a, b) => a + b, 0) / map.length, 0) / maps.length;
    return { label, share, maps };
  });
}

/** Maps of one scale side by side: dark blue is 0, yellow the largest of them. */
async function rowOf(
  label: string,
  maps: readonly Float64Array[],
  { height, width }: Extent,
  share?: number,
  marked?: number,
): Promise<AttentionRow> {
  const most = Math.max(1e-12, ...maps.map((map) => map.reduce((a, b) => Math.max(a, b), 0)));
  const pictures = maps.map((map): RgbImage => {
    const rgb = new Uint8Array(3 * width * height);
    map.forEach((value, pixel) => rgb.set(pixel === marked ? MARK : cividis(value / most), 3 * pixel));
    return { width, height, rgb };
  });
  const factor = Math.max(1, Math.floor(MAP_PIXELS / Math.max(width, height)));
  const picture = await toDataUri(
    montage(await Promise.all(pictures.map((each) => enlarge(each, factor))), maps.length, 2),
  );
  return { label, ...(share === undefined ? {} : { share }), picture };
}
