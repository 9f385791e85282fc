import type { FloatTensor } from "../../numerics/tensor.js";

/** One row of `width` numbers per item, computed some items at a time: [items, width]. */
export async function inBatches<Item>(
  items: readonly Item[],
  size: number,
  width: number,
  run: (batch: readonly Item[]) => Promise<FloatTensor>,
): Promise<FloatTensor> {
  const data = new Float32Array(items.length * width);
  for (let start = 0; start < items.length; start += size)
    data.set((await run(items.slice(start, start + size))).data, start * width);
  return { dims: [items.length, width], data };
}
