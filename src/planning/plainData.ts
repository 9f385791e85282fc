/** Profiles and costs as JSON: what a page needs of them to plan, exact to the last bit. */
import type { Costs } from "../caching/costs/costs.js";
import type { Profile } from "../instrument/profile/profile.js";
import type { Measurements } from "./plan.js";

/**
 * Measurements as JSON text. Of the measures only change and its pairs are kept, which the library's heuristics read.
 */
export function measurementsJson({ profile, costs }: Measurements): string {
  const { change } = profile.values;
  const sent: Measurements = { profile: { ...profile, values: change === undefined ? {} : { change } }, costs };
  return JSON.stringify(sent, (_, value: unknown) => (value instanceof Float64Array ? [...value] : value));
}

/** Measurements from what `measurementsJson` wrote; text from elsewhere is not checked. */
export function measurementsFromJson(text: string): Measurements {
  const { profile, costs } = JSON.parse(text) as { profile: Profile; costs: Costs };
  return {
    profile: {
      ...profile,
      values: { change: arrays(profile.values.change ?? {}) },
      ...(profile.pairs === undefined ? {} : { pairs: { ...profile.pairs, change: arrays(profile.pairs.change) } }),
    },
    costs: {
      ...costs,
      compute: arrays(costs.compute),
      keep: arrays(costs.keep),
      reuse: arrays(costs.reuse),
      reuse2: arrays(costs.reuse2),
      reuse3: arrays(costs.reuse3),
      rest: Float64Array.from(costs.rest),
      text: Float64Array.from(costs.text),
    },
  };
}

function arrays(lists: Readonly<Record<string, ArrayLike<number>>>): Record<string, Float64Array> {
  return Object.fromEntries(Object.entries(lists).map(([id, values]) => [id, Float64Array.from(values)]));
}
