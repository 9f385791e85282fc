import { ArgumentError } from "../../errors.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { Measure, Profile, Trajectory } from "./profile.js";

/**
 * Prompts × seeds, each trajectory once: of prompts with the same tokens only the first is kept, in the order of the
 * prompts. Counted twice, a trajectory would narrow every interval and weigh more than others.
 *
 * @throws ArgumentError where one of them is not a list
 */
export function distinctTrajectories(
  { text }: Pipeline,
  prompts: readonly string[],
  seeds: readonly number[],
): Trajectory[] {
  // A string would pass for a list of its letters.
  for (const [name, list] of Object.entries({ prompts, seeds }))
    if (!Array.isArray(list)) throw new ArgumentError(`${name}: expected a list, found a ${typeof list}`);
  const tokensOf = (prompt: string): string =>
    JSON.stringify(text.tokenizers.map((tokenizer) => [...tokenizer.encodePrompts([prompt]).inputIds]));
  const distinct = new Map<string, string>();
  for (const prompt of prompts) {
    const tokens = tokensOf(prompt);
    if (!distinct.has(tokens)) distinct.set(tokens, prompt);
  }
  return [...distinct.values()].flatMap((prompt) => [...new Set(seeds)].map((seed) => ({ prompt, seed })));
}

/** The warning about trajectories that were asked for more than once. */
export function repeatedTrajectories(count: number): string {
  return `${count} of the trajectories ${count === 1 ? "is" : "are"} listed more than once (the same tokens and seed): each counts once`;
}

/** Trajectories in groups that are sampled together. */
export function batches(trajectories: readonly Trajectory[], size: number): Trajectory[][] {
  return Array.from({ length: Math.ceil(trajectories.length / size) }, (_, index) =>
    trajectories.slice(index * size, (index + 1) * size),
  );
}

/**
 * A profile with these of its trajectories, in this order; one may appear several times, as in resampling.
 *
 * @param rows positions in `profile.trajectories`
 * @param measures which measures to carry over. Default: all that the profile has
 */
export function selectTrajectories(
  profile: Profile,
  rows: readonly number[],
  measures: readonly Measure[] = Object.keys(profile.values) as Measure[],
): Profile {
  const steps = profile.setting.timesteps.length;
  const select =
    (width: number) =>
    (byBlock: Readonly<Record<string, Float64Array>>): Record<string, Float64Array> =>
      Object.fromEntries(
        Object.entries(byBlock).map(([id, data]) => {
          const selected = new Float64Array(rows.length * width);
          rows.forEach((row, index) => selected.set(data.subarray(row * width, (row + 1) * width), index * width));
          return [id, selected];
        }),
      );
  const { pairs } = profile;
  return {
    ...profile,
    trajectories: rows.map((row) => profile.trajectories[row]),
    values: Object.fromEntries(measures.map((measure) => [measure, select(steps)(profile.values[measure] ?? {})])),
    ...(pairs === undefined ? {} : { pairs: { ...pairs, change: select(steps * pairs.window)(pairs.change) } }),
  };
}
