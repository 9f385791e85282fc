/** Profiles and costs of any shape, for properties that must hold for all of them. */
import fc from "fast-check";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import type { NetworkOutline } from "../../src/caching/costs/networkOutline.js";
import type { Profile, ProfiledBlock } from "../../src/instrument/profile/profile.js";

/** `changes[trajectory][block]` is a list of one value per step; the first is taken as 0. */
export function profileOf(
  changes: readonly (readonly (readonly number[])[])[],
  {
    kinds = ["transformer"],
    pairs,
  }: { kinds?: readonly ProfiledBlock["kind"][]; pairs?: { window: number; values: readonly number[] } } = {},
): Profile {
  const steps = changes[0][0].length;
  const blocks = changes[0].map((_, index) => ({
    id: `down_blocks.0.attentions.${index}`,
    kind: kinds[index % kinds.length],
    resolution: [8, 8] as const,
  }));
  const values = (of: (trajectory: number, block: number, step: number) => number) =>
    Object.fromEntries(
      blocks.map(({ id }, block) => [
        id,
        Float64Array.from(
          changes.flatMap((_, trajectory) => Array.from({ length: steps }, (_, step) => of(trajectory, block, step))),
        ),
      ]),
    );
  const pairValue = (block: number, trajectory: number, step: number, age: number): number =>
    step < age
      ? 0
      : age === 1
        ? changes[trajectory][block][step]
        : (pairs?.values[(block * 31 + step * 7 + age) % pairs.values.length] ?? 0);
  return {
    setting: {
      model: { fingerprint: "sha256:0", name: "made up" },
      solver: "ddim",
      solver_config: {},
      num_inference_steps: steps,
      timesteps: Array.from({ length: steps }, (_, index) => 999 - index),
      guidance_scale: 5,
      negative_prompt: "",
      latent_size: [8, 8],
    },
    device: "cpu",
    precision: "float32",
    library_version: "0",
    trajectories: changes.map((_, seed) => ({ prompt: "a", seed })),
    blocks,
    values: { change: values((trajectory, block, step) => (step === 0 ? 0 : changes[trajectory][block][step])) },
    ...(pairs === undefined
      ? {}
      : {
          pairs: {
            window: pairs.window,
            change: Object.fromEntries(
              blocks.map(({ id }, block) => [
                id,
                Float64Array.from(
                  changes.flatMap((_, trajectory) =>
                    Array.from({ length: steps }, (_, step) =>
                      Array.from({ length: pairs.window }, (_, age) => pairValue(block, trajectory, step, age + 1)),
                    ).flat(),
                  ),
                ),
              ]),
            ),
          },
        }),
  };
}

const change = fc.double({ min: 0, max: 1, noNaN: true });
const lists = (value: fc.Arbitrary<number>, length: number, count: number): fc.Arbitrary<number[][]> =>
  fc.array(fc.array(value, { minLength: length, maxLength: length }), { minLength: count, maxLength: count });

/** Profiles of 1 to `most.blocks` blocks and 1 to `most.steps` steps, with change between pairs of steps. */
export function profiles(
  most: { blocks: number; steps: number; trajectories: number } = { blocks: 5, steps: 16, trajectories: 3 },
): fc.Arbitrary<Profile> {
  return fc
    .record({
      blocks: fc.integer({ min: 1, max: most.blocks }),
      steps: fc.integer({ min: 1, max: most.steps }),
      trajectories: fc.integer({ min: 1, max: most.trajectories }),
    })
    .chain(({ blocks, steps, trajectories }) =>
      fc.record({
        changes: fc.array(lists(change, steps, blocks), { minLength: trajectories, maxLength: trajectories }),
        window: fc.integer({ min: 1, max: 6 }),
        values: fc.array(change, { minLength: 1, maxLength: 40 }),
      }),
    )
    .map(({ changes, window, values }) => profileOf(changes, { kinds: CACHEABLE_KINDS, pairs: { window, values } }));
}

/** A network whose blocks all read its input and are read by its last stage: whatever is reused, every block runs. */
export function sideBySide(ids: readonly string[]): NetworkOutline {
  return [
    ...ids.map((id) => ({ id, reads: ["sample"], merge_reads: ["sample"], bytes_per_row: 100 })),
    { id: "conv_out", reads: ids, bytes_per_row: 0 },
  ];
}

/** Costs of a profile's blocks, in a network in which each block reads the one before it, or in one side by side. */
export function costsOf(profile: Profile, seconds: readonly number[], inARow: boolean): Costs {
  const at = (block: number, group: number): Float64Array =>
    Float64Array.of(seconds[(block * 5 + group) % seconds.length]);
  const group = (index: number, scale: number) =>
    Object.fromEntries(profile.blocks.map(({ id }, block) => [id, at(block, index).map((value) => value * scale)]));
  const row = [
    ...profile.blocks.map(({ id, kind }, block) => ({
      id,
      reads: [profile.blocks[block - 1]?.id ?? "sample"],
      merge_reads: kind === "downsampler" || kind === "upsampler" ? [] : [profile.blocks[block - 1]?.id ?? "sample"],
      bytes_per_row: 100 * (block + 1),
    })),
    { id: "conv_out", reads: [profile.blocks[profile.blocks.length - 1].id], bytes_per_row: 0 },
  ];
  return {
    setting: { fingerprint: "sha256:0", device: "cpu", rows: 2, latent_size: [8, 8] },
    compute: group(0, 1),
    keep: group(0, 1.05),
    reuse: group(1, 0.1),
    reuse2: group(1, 0.12),
    reuse3: group(1, 0.13),
    rest: Float64Array.of(0.1),
    text: Float64Array.of(0.2),
    network: inARow ? row : sideBySide(profile.blocks.map(({ id }) => id)),
  };
}

export const seconds = fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });
