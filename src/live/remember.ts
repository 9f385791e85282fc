/** What a cell or a page worked out stays for its next run. */
import type { Pipeline } from "../diffusion/pipeline.js";

/** A place to keep one value of a pipeline; equal keys are the same place. */
export interface Memory<Value> {
  get(): Value | undefined;
  set(value: Value): Value;
}

const kept = new WeakMap<Pipeline, Map<string, unknown>>();

/** A plain run is the largest: pictures, and a prediction a step (50 of SDXL's at 1024 px: 13 MB and 3 MB). */
const MOST_VALUES = 32;

/** The values last used are kept, the others go. */
export function memory<Value>(pipeline: Pipeline, key: readonly unknown[]): Memory<Value> {
  const values = kept.get(pipeline) ?? new Map<string, unknown>();
  kept.set(pipeline, values);
  const name = JSON.stringify(key, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  const use = (value: Value): Value => {
    // Last in the map is last used.
    values.delete(name);
    values.set(name, value);
    return value;
  };
  return {
    get: () => (values.has(name) ? use(values.get(name) as Value) : undefined),
    set(value) {
      use(value);
      const [oldest] = values.keys();
      if (values.size > MOST_VALUES) values.delete(oldest);
      return value;
    },
  };
}
