/** How far a schedule can be trusted: over resampled trajectories, and in other settings. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { computeProbability, probabilityCsv } from "../../src/caching/schedule/computeProbability.js";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { transferSchedule, transferTable } from "../../src/caching/schedule/transfer.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { profileDigest } from "../../src/instrument/profile/profileDigest.js";
import { profileOf, profiles } from "./madeUp.js";

const id = "down_blocks.0.attentions.0";

test("bootstrap: cells that every trajectory agrees on are sure, the others as the binomial law says", () => {
  // Of two trajectories one changes by 1 at step 2, the other not; δ 0.75 computes there where both draws are the first: 1/4.
  const profile = profileOf([[[0, 1, 1, 0]], [[0, 1, 0, 0]]]);
  const { [id]: probability } = computeProbability(profile, (each) => threshold(each, { delta: 0.75 }), {
    resamples: 4000,
  });
  expect([probability[0], probability[1], probability[3]]).toEqual([1, 1, 0]);
  expect(Math.abs(probability[2] - 0.25)).toBeLessThan(4 * Math.sqrt((0.25 * 0.75) / 4000));
});

test("bootstrap: one trajectory, or all alike, give 0 and 1 as the schedule has it; a seed gives one result", () => {
  fc.assert(
    fc.property(profiles({ blocks: 3, steps: 8, trajectories: 1 }), fc.nat(100), (profile, seed) => {
      const find = (each: Profile) => threshold(each, { kinds: CACHEABLE_KINDS, delta: 0.8 });
      const schedule = find(profile);
      const probability = computeProbability(profile, find, { resamples: 5, seed });
      for (const [block, values] of Object.entries(probability))
        expect(values).toEqual(
          profile.setting.timesteps.map((_, evaluation) => (schedule.blocks[block].includes(evaluation) ? 1 : 0)),
        );
    }),
    { numRuns: 30 },
  );
  const profile = profileOf([[[0, 1, 1, 0]], [[0, 1, 0, 0]], [[0, 0, 1, 1]]]);
  const at = (seed: number) =>
    computeProbability(profile, (each) => threshold(each, { delta: 0.5 }), { resamples: 20, seed });
  expect(at(3)).toEqual(at(3));
  expect(probabilityCsv({ [id]: [1, 0.25] })).toBe(`block,0,1\n${id},1,0.25\n`);
});

function withTimesteps(profile: Profile, timesteps: readonly number[]): Profile {
  return { ...profile, setting: { ...profile.setting, timesteps, num_inference_steps: timesteps.length } };
}

test("transfer: to the same timesteps unchanged, to others by the nearest", () => {
  fc.assert(
    fc.property(profiles(), (profile) => {
      const schedule = threshold(profile, { kinds: CACHEABLE_KINDS, delta: 0.5 });
      expect(transferSchedule(schedule, profile).blocks).toEqual(schedule.blocks);
    }),
    { numRuns: 20 },
  );
  const coarse = withTimesteps(profileOf([[[0, 1, 0, 1]]]), [900, 600, 300, 0]);
  const fine = withTimesteps(profileOf([[[0, 1, 1, 1, 1, 1, 1]]]), [900, 750, 600, 450, 300, 150, 0]);
  const schedule = threshold(coarse, { delta: 0.5 });
  expect(schedule.blocks[id]).toEqual([0, 1, 3]);
  expect(transferSchedule(schedule, fine).blocks[id]).toEqual([0, 2, 6]);
  expect(transferSchedule(threshold(fine, { delta: 0.5 }), coarse).blocks[id]).toEqual([0, 1, 2, 3]);
  const other = { ...fine, setting: { ...fine.setting, model: { name: "other", fingerprint: "sha256:1" } } };
  expect(() => transferSchedule(schedule, other)).toThrow(/the schedule's model made up, found one of other/);
});

test("transfer table: agreement and missed change, counted by hand", () => {
  const [a, b] = [profileOf([[[0, 1, 0, 1]]]), profileOf([[[0, 0, 1, 1]]])];
  // a computes at 0, 1, 3 and b at 0, 2, 3 (δ 0.5); in b's setting a's schedule misses b's change of 1 at step 2
  const rows = transferTable({ a, b }, (each) => threshold(each, { delta: 0.5 }));
  expect(rows).toEqual([
    { from: "a", to: "a", computed_share: 0.75, agreement: 1, missed: 0 },
    { from: "a", to: "b", computed_share: 0.75, agreement: 0.5, missed: 0.25 },
    { from: "b", to: "a", computed_share: 0.75, agreement: 0.5, missed: 0.25 },
    { from: "b", to: "b", computed_share: 0.75, agreement: 1, missed: 0 },
  ]);
});

test("transfer table: a schedule in which every block computes misses nothing, and agrees with itself alone", () => {
  const [a, b] = [profileOf([[[0, 1, 0, 1]]]), profileOf([[[0, 0, 1, 1]]])];
  const find = (each: typeof a): Schedule => {
    const schedule = threshold(each, { delta: 0.5 });
    return schedule.blocks[id].includes(1) ? { ...schedule, blocks: {} } : schedule;
  };
  // b computes at 0, 2, 3 (δ 0.5), and misses a's change of 1 at step 1
  expect(transferTable({ a, b }, find)).toEqual([
    { from: "a", to: "a", computed_share: 1, agreement: 1, missed: 0 },
    { from: "a", to: "b", computed_share: 1, agreement: 0.75, missed: 0 },
    { from: "b", to: "a", computed_share: 0.75, agreement: 0.75, missed: 0.25 },
    { from: "b", to: "b", computed_share: 0.75, agreement: 1, missed: 0 },
  ]);
});

test("a schedule says which profile it is from", () => {
  const [profile, other] = [profileOf([[[0, 1]]]), profileOf([[[0, 0.5]]])];
  const { solver_config, profile: source } = threshold(profile, { delta: 1 });
  expect(solver_config).toEqual({});
  expect(source).toEqual({ digest: profileDigest(profile), trajectories: 1 });
  expect(profileDigest(other)).not.toBe(profileDigest(profile));
  expect(profileDigest(structuredClone(profile))).toBe(profileDigest(profile));
});
