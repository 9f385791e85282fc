/** What is shown of blocks: shares of time, curves of change, names of kinds. */
import { computed } from "@preact/signals";
import { median, summarise } from "blockcache/planning";
import type { BlockKind } from "blockcache/planning";
import { lastMeasurements } from "./store.js";

/** block id → its share of a plain evaluation's time, 0 to 1 */
export const timeShares = computed((): ReadonlyMap<string, number> => {
  const costs = lastMeasurements.value?.costs;
  if (costs === undefined) return new Map();
  const blocks = Object.entries(costs.compute).map(([id, samples]) => [id, median(samples)] as const);
  const whole = blocks.reduce((sum, [, seconds]) => sum + seconds, median(costs.rest));
  return new Map(blocks.map(([id, seconds]) => [id, seconds / whole]));
});

/** block id → mean relative L1 change at each evaluation */
export const changeCurves = computed(
  (): ReadonlyMap<string, Float64Array> =>
    new Map(
      lastMeasurements.value === undefined
        ? []
        : summarise(lastMeasurements.value.profile).map(({ block, mean }) => [block.id, mean]),
    ),
);

export const KIND_NAMES: Readonly<Partial<Record<BlockKind, string>>> = {
  resnet: "ResNet block",
  transformer: "spatial transformer",
  downsampler: "downsampler",
  upsampler: "upsampler",
  conv_in: "first convolution",
  conv_out: "last convolution",
};

export function kindName(kind: BlockKind): string {
  return KIND_NAMES[kind] ?? kind;
}
