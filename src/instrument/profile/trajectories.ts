import { ArgumentError } from "../../errors.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { Measure, Profile, Trajectory } from "./profile.js";

/**
 * Prompts × seeds, each trajectory once: the first of the prompts that are the same tokens, in the order of the prompts.
 * Counted twice, a trajectory would narrow every interval and weigh more than others.
 *
 * @throws ArgumentError where one of them is no list
 */
export function distinctTrajectories(
  { text }: Pipeline,
  prompts: readonly string[],
  seeds: readonly number[],
): Trajectory[] {
  // A text is a list too, of its letters.
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

/** What is said of trajectories that were asked for again. */
export function repeatedTrajectories(count: number): string {
  return `${count} of the trajectories stand${count === 1 ? "s" : ""} there more than once (the same tokens and seed): each counts once`;
}

/** Trajectories in groups that are sampled together. */
export function batches(trajectories: readonly Trajectory[], size: number): Trajectory[][] {
  return Array.from({ length: Math.ceil(trajectories.length / size) }, (_, index) =>
    trajectories.slice(index * size, (index + 1) * size),
  );
}

/**
 * A profile of these of its trajectories, in this order; one may stand in it several times, as resampling
 * has it.
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
