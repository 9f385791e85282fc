/** Functions of a user's: whatever they write into what they are given, or refill after they gave it, is theirs alone. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { defineHeuristic, heuristicNamed } from "../../src/caching/heuristics/registry.js";
import type { NamedOptions } from "../../src/caching/heuristics/registry.js";
import { withinBudget } from "../../src/caching/heuristics/search.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { defineReuseRule, hold, reuseRule, weightsOf } from "../../src/caching/run/reuseRule.js";
import { reuseDigest } from "../../src/caching/run/reuseDigest.js";
import { computeProbability } from "../../src/caching/schedule/computeProbability.js";
import { createSchedule } from "../../src/caching/schedule/createSchedule.js";
import { pin } from "../../src/caching/schedule/edits.js";
import { computedShare } from "../../src/caching/schedule/schedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { saveSchedule } from "../../src/caching/schedule/scheduleFile.js";
import { transferTable } from "../../src/caching/schedule/transfer.js";
import { ArgumentError } from "../../src/errors.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { profileDigest } from "../../src/instrument/profile/profileDigest.js";
import { sweepArms } from "../../src/study/sweepArms.js";
import { costsOf, profileOf } from "./madeUp.js";

const profile = profileOf([
  [
    [0, 0.3, 0.1, 0.2, 0.4, 0.1, 0.2, 0.3, 0.2, 0.3, 0.1, 0.2],
    [0, 0.1, 0.1, 0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.2, 0.1, 0.4],
  ],
]);
const [first, second] = profile.blocks.map(({ id }) => id);
const kinds = [{ label: "transformers", kinds: ["transformer" as const] }];

/** Writes into everything within reach, and answers with the list that it answered with before. */
const list = [0];
function spoil(given: Profile, options: NamedOptions): Schedule {
  const writable = given as unknown as {
    values: { change: Record<string, Float64Array> };
    setting: { timesteps: number[]; solver: string };
    blocks: { kind: string }[];
    trajectories: { prompt: string }[];
  };
  for (const { id } of given.blocks) writable.values.change[id].fill(7);
  const schedule = createSchedule(given, { name: "spoil" }, { [first]: list });
  writable.setting.timesteps.length = 2;
  writable.setting.solver = "spoilt";
  writable.blocks.splice(0, 1)[0].kind = "resnet";
  writable.trajectories[0].prompt = "spoilt";
  (options.kinds as string[]).length = 0;
  for (const samples of Object.values(options.costs?.compute ?? {})) samples.fill(1e-9);
  list.push(list.length);
  return schedule;
}
const spoiler = defineHeuristic({ name: "spoil", find: spoil, parameter: "n", values: [1, 2, 3] });

test("a heuristic that writes into the profile, its options and its own answers changes no other arm, before or after it", () => {
  const before = structuredClone(profile);
  const costs = costsOf(profile, [1, 2], false);
  const sweep = (names: readonly (typeof spoiler)[]) =>
    sweepArms(profile, {
      heuristics: names.map((heuristic) => ({ heuristic })),
      kinds,
      reuse: [hold],
      plainSteps: [],
      costs,
    });
  const arms = sweep([spoiler, heuristicNamed("threshold")]);
  list.length = 1;
  const reversed = sweep([heuristicNamed("threshold"), spoiler]);
  expect(profile).toEqual(before);
  expect(costs).toEqual(costsOf(profile, [1, 2], false));
  const byName = new Map(reversed.map(({ name, cached }) => [name, cached?.schedule]));
  for (const { name, cached } of arms) expect(cached?.schedule).toEqual(byName.get(name));
  for (const delta of [0.05, 0.2, 0.5])
    expect(byName.get(`threshold δ ${delta}, transformers, hold`)?.blocks).toEqual(
      threshold(profile, { delta }).blocks,
    );
  expect([1, 2, 3].map((n) => byName.get(`spoil n ${n}, transformers, hold`)?.blocks[first])).toEqual([
    [0],
    [0, 1],
    [0, 1, 2],
  ]);
  // The schedule was found from the profile as it was measured.
  for (const schedule of byName.values()) if (schedule) expect(schedule.profile?.digest).toBe(profileDigest(before));
  list.length = 1;
});

test("one object filled anew at each call gives each arm its own schedule: shares 1/2, 1/3, 1/4 of 12", () => {
  const kept: Record<string, number[]> = {};
  const mine = defineHeuristic({
    name: "mine",
    parameter: "every",
    values: [2, 3, 4],
    find: (given, { every }: NamedOptions) => {
      for (const { id } of given.blocks) {
        kept[id] ??= [];
        kept[id].length = 0;
        for (let i = 0; i < given.setting.timesteps.length; i += Number(every)) kept[id].push(i);
      }
      return createSchedule(given, { name: "mine", every }, kept);
    },
  });
  const arms = sweepArms(profile, { heuristics: [{ heuristic: mine }], kinds, reuse: [hold], plainSteps: [] });
  expect(arms.flatMap(({ cached }) => (cached ? [computedShare(cached.schedule)] : []))).toEqual([1 / 2, 1 / 3, 1 / 4]);
});

test("resampling, transfer and the search for a budget give a function copies too", () => {
  const before = structuredClone(profile);
  const spoilt = (given: Profile): Schedule => {
    const schedule = threshold(given, { delta: 0.3 });
    given.values.change?.[first].fill(9);
    (given.setting.timesteps as number[]).length = 1;
    return schedule;
  };
  expect(computeProbability(profile, spoilt, { resamples: 3 })).toEqual(
    computeProbability(before, (given) => threshold(given, { delta: 0.3 }), { resamples: 3 }),
  );
  expect(transferTable({ a: profile, b: profile }, spoilt)[1]).toMatchObject({ agreement: 1 });
  const costs = costsOf(profile, [1, 0.1], false);
  const mine = defineHeuristic({
    name: "mine",
    parameter: "delta",
    values: [0.1, 1],
    find: (given: Profile, options: NamedOptions & { delta: number }) => {
      const schedule = threshold(given, { delta: options.delta });
      given.values.change?.[first].fill(9);
      for (const samples of Object.values(options.costs?.compute ?? {})) samples.fill(0);
      return schedule;
    },
  });
  const found = withinBudget(mine, profile, { costs, speedup: 1.2 });
  expect(found.blocks).toEqual(
    withinBudget(heuristicNamed("threshold"), before, { costs: costsOf(profile, [1, 0.1], false), speedup: 1.2 })
      .blocks,
  );
  expect(profile).toEqual(before);
});

test("a schedule and an edit own their lists", () => {
  const [blocks, evaluations, heuristic] = [{ [first]: [0, 4] }, [2], { name: "mine", values: [1] }];
  const schedule = createSchedule(profile, heuristic, blocks);
  const pinned = pin(schedule, { evaluations });
  blocks[first].push(9);
  evaluations.push(99);
  heuristic.values.push(2);
  expect(schedule.blocks).toEqual({ [first]: [0, 4] });
  expect(schedule.heuristic).toEqual({ name: "mine", values: [1] });
  (schedule.blocks[first] as number[]).push(5);
  (schedule.timesteps as number[]).pop();
  expect(pinned.blocks).toEqual({ [first]: [0, 2, 4] });
  expect(pinned.edits).toEqual([{ edit: "pin", evaluations: [2] }]);
  expect(pinned.timesteps).toEqual(profile.setting.timesteps);
});

test.each([
  ["1.5", { [first]: [0, 1.5, 3] }, /blocks\..*\.1: expected a whole number, found 1\.5/],
  ["NaN", { [first]: [0, NaN] }, /expected a number, found NaN/],
  ["Infinity", { [first]: [0, Infinity] }, /found Infinity/],
  ["a text", { [first]: "0,3" }, /expected a list, found "0,3"/],
  ["numbers as texts", { [first]: [0, "3"] }, /expected a number, found "3"/],
  ["a hole", { [first]: Object.assign([0], { 2: 3 }) }, /found nothing/],
  ["a Uint8Array", { [first]: Uint8Array.of(0, 3) }, /expected a list, found a Uint8Array/],
  ["a Set", { [first]: new Set([0, 3]) }, /expected a list, found a Set/],
  ["a Map", new Map([[first, [0]]]), /blocks: expected an object, found a Map/],
  ["nothing", undefined, /blocks: expected an object, found nothing/],
  ["a list without 0", { [first]: [1] }, /starts with 0/],
  ["an empty list", { [first]: [] }, /starts with 0/],
  ["one twice", { [first]: [0, 3, 3] }, /ascending order, each once/],
  ["one beyond the last", { [first]: [0, 12] }, /evaluations from 0 to 11/],
  [
    "an unknown block",
    { [second]: [0], "no.such.block": [0] },
    /expected blocks of the profile .* found "no\.such\.block"/,
  ],
])("createSchedule refuses %s", (_, blocks, message) => {
  const create = () => createSchedule(profile, { name: "mine" }, blocks as unknown as Schedule["blocks"]);
  expect(create).toThrow(ArgumentError);
  expect(create).toThrow(message);
});

test("createSchedule refuses a record without JSON; saveSchedule what loadSchedule would refuse", async () => {
  const circular: Record<string, unknown> & { name: string } = { name: "mine" };
  circular.self = circular;
  expect(() => createSchedule(profile, circular, { [first]: [0] })).toThrow(
    /schedule: heuristic: expected plain data, as JSON has it, found Converting circular/,
  );
  const folder = mkdtempSync(join(tmpdir(), "blockcache-own-"));
  const schedule = createSchedule(profile, { name: "mine" }, { [first]: [0] });
  await expect(saveSchedule(join(folder, "s.json"), { ...schedule, blocks: { [first]: [0, 1.5] } })).rejects.toThrow(
    /whole number, found 1\.5/,
  );
  rmSync(folder, { recursive: true });
});

test.each([
  ["a promise", async () => threshold(profile, { delta: 1 }), /mine, n 1: .*expected an object, found a Promise/],
  ["nothing", () => undefined, /found nothing/],
  [
    "a schedule of other blocks",
    () => ({ ...threshold(profile, { delta: 1 }), blocks: { other: [0] } }),
    /found "other"/,
  ],
  ["a schedule in a list", () => [threshold(profile, { delta: 1 })], /expected an object/],
])("a heuristic that answers with %s is refused by name", (_, find, message) => {
  const mine = defineHeuristic({ name: "mine", parameter: "n", values: [1], find: find as () => Schedule });
  const sweep = { heuristics: [{ heuristic: mine }], kinds, reuse: [hold], plainSteps: [] };
  expect(() => sweepArms(profile, sweep)).toThrow(message);
});

const times = [0, 1, 2, 3].map((evaluation) => ({ evaluation, timestep: 999 - evaluation, logSnr: evaluation }));

test("a reuse rule that writes into the times it is given changes nothing, and cannot be changed once it is defined", () => {
  const before = structuredClone(times);
  const rule = defineReuseRule({
    name: "writes",
    history: 1,
    weights: (_, kept, wanted) => {
      for (const time of [...kept, wanted]) Object.assign(time, { evaluation: -1, timestep: 0, logSnr: NaN });
      return [1];
    },
  });
  expect(weightsOf(rule, first, [times[0]], times[1])).toEqual([1]);
  expect(times).toEqual(before);
  for (const each of [rule, hold]) expect(() => Object.assign(each, { history: 3 })).toThrow(TypeError);
  expect(reuseRule("hold").history).toBe(1);
});

test.each([
  ["too few", () => [], /expected 2 finite weights for block at evaluation 3, found \[\]/],
  ["a hole", () => Object.assign([1], { length: 2 }), /found \[1,undefined\]/],
  ["NaN", () => [1, NaN], /expected 2 finite weights/],
  ["texts", () => ["1", "2"], /found \[string,string\]/],
  ["other numbers", () => [1n, 2n], /found \[bigint,bigint\]/],
  ["more than float32 holds", () => [1, 1e39], /found \[1,1e\+39\]/],
  ["nothing", () => undefined, /found undefined/],
  [
    "an error",
    () => {
      throw new TypeError("its own");
    },
    /and it threw: its own/,
  ],
])("a reuse rule that gives %s is refused by name", (_, weights, message) => {
  const rule = { name: "odd", history: 2, weights: weights as unknown as () => number[] };
  expect(() => weightsOf(rule, "block", times.slice(0, 2), times[3])).toThrow(message);
  expect(() => weightsOf(rule, "block", times.slice(0, 2), times[3])).toThrow(ArgumentError);
});

test("an edited rule is told by what it gives: its digest is that of its weights, and the library's have none", () => {
  const schedule = { blocks: { [first]: [0, 2] } };
  const weighing = (weight: number, history = 1) => ({ name: "mine", history, weights: () => [weight] });
  const digest = reuseDigest(schedule, weighing(1), times);
  expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(reuseDigest(schedule, { ...weighing(1), name: "other" }, times)).toBe(digest);
  expect(reuseDigest(schedule, weighing(0.5), times)).not.toBe(digest);
  expect(reuseDigest({ blocks: { [first]: [0, 1] } }, weighing(1), times)).not.toBe(digest);
  expect(reuseDigest(schedule, hold, times)).toBeUndefined();
});

test("a heuristic that throws is named, with what it was asked", () => {
  const costs = costsOf(profile, [1, 2], false);
  const picky = defineHeuristic({
    name: "picky",
    parameter: "k",
    values: [1, 2],
    find: () => {
      throw new TypeError("its own");
    },
  });
  expect(() => withinBudget(picky, profile, { costs, speedup: 1.1 })).toThrow(
    /^picky: it was asked for k [12], and threw: its own$/,
  );
});

test.each([
  [{}, /^heuristic: name: expected a text, found nothing$/],
  [{ name: "mine" }, /^heuristic mine: find: expected a function .*, found nothing$/],
  [{ name: "mine", find: threshold }, /^heuristic mine: parameter: expected the name of .*, found nothing$/],
  [{ name: "mine", find: threshold, parameter: "delta" }, /values: expected a list of numbers .*, found nothing$/],
  [{ name: "mine", find: threshold, parameter: "delta", values: ["0.1"] }, /values: .*, found \["0\.1"\]$/],
  [{ name: "mine", find: threshold, parameter: "delta", values: [0.1], bounds: [0] }, /bounds: .*, found \[0\]$/],
])("a definition that lacks a part is refused by its name: %j", (definition, message) => {
  expect(() => defineHeuristic(definition as unknown as Parameters<typeof defineHeuristic>[0])).toThrow(message);
});
