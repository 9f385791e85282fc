/** What a cell worked out stays for the next run of the cell. */
import type { Pipeline } from "../diffusion/pipeline.js";

/** A place to keep one value of a pipeline; equal keys are the same place. */
export interface Memory<Value> {
  get(): Value | undefined;
  set(value: Value): Value;
}

const kept = new WeakMap<Pipeline, Map<string, unknown>>();

/** A run's latents and pictures are some hundred kilobytes. The oldest value goes first. */
const MOST_VALUES = 32;

export function memory<Value>(pipeline: Pipeline, key: readonly unknown[]): Memory<Value> {
  const values = kept.get(pipeline) ?? new Map<string, unknown>();
  kept.set(pipeline, values);
  const name = JSON.stringify(key, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  return {
    get: () => values.get(name) as Value | undefined,
    set(value) {
      values.set(name, value);
      const [oldest] = values.keys();
      if (values.size > MOST_VALUES) values.delete(oldest);
      return value;
    },
  };
}
