import fc from "fast-check";
import { expect, test } from "vitest";
import type { Costs } from "../../src/caching/costs/costs.js";
import { bestLifetimes, dynamicProgramme } from "../../src/caching/heuristics/dynamicProgramme.js";
import { greedy } from "../../src/caching/heuristics/greedy.js";
import { CACHEABLE_KINDS, cacheableBlocks } from "../../src/caching/heuristics/heuristic.js";
import type { BlockLifetimes } from "../../src/caching/heuristics/lifetimes.js";
import { blockLifetimes, totalsOf } from "../../src/caching/heuristics/lifetimes.js";
import { HEURISTICS, defineHeuristic, heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { withinBudget } from "../../src/caching/heuristics/search.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { predictSeconds, predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { costsOf, profileOf, profiles, seconds, sideBySide } from "./madeUp.js";

const all = { kinds: CACHEABLE_KINDS };
const RUNS = { numRuns: 60 };

function expectValid(schedule: Schedule, profile: Profile): void {
  expect(Object.keys(schedule.blocks)).toEqual(profile.blocks.map(({ id }) => id));
  for (const computed of Object.values(schedule.blocks)) {
    expect(computed[0]).toBe(0);
    expect(computed).toEqual([...new Set(computed)].sort((a, b) => a - b));
    expect(
      computed.every((step) => Number.isInteger(step) && step >= 0 && step < profile.setting.timesteps.length),
    ).toBe(true);
  }
}

/** A value of a heuristic's parameter that it takes, from 0 to 1. */
function valueAt(name: string, share: number, costs: Costs, profile: Profile): number {
  const {
    integer,
    bounds: [least, greatest],
    parameter,
  } = heuristicNamed(name);
  if (parameter === "speedup") {
    const fastest = predictSpeedup(costs, {
      timesteps: profile.setting.timesteps,
      blocks: Object.fromEntries(profile.blocks.map(({ id }) => [id, [0]])),
    });
    // A gain in the last digits is no budget that rounding leaves alone.
    return fastest < 1 + 1e-9 ? 1 : 1 + share * 0.99 * (fastest - 1);
  }
  const value = least + share * (Math.min(greatest, 6) - least);
  return integer ? Math.round(value) : value;
}

test.each(HEURISTICS.map(({ name }) => name))(
  "%s gives valid schedules, within its budget where it has one",
  (name) => {
    const { find, parameter } = heuristicNamed(name);
    fc.assert(
      fc.property(
        profiles(),
        seconds,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.boolean(),
        (profile, prices, share, inARow) => {
          const costs = costsOf(profile, prices, inARow);
          const value = valueAt(name, share, costs, profile);
          const schedule = find(profile, { ...all, costs, [parameter]: value });
          expectValid(schedule, profile);
          expect(schedule.heuristic).toMatchObject({ name, [parameter]: value, kinds: CACHEABLE_KINDS });
          if (parameter === "speedup") expect(predictSpeedup(costs, schedule)).toBeGreaterThanOrEqual(value - 1e-9);
        },
      ),
      RUNS,
    );
  },
);

// The k-th computing step never comes earlier as δ grows: a later start has less behind it, a greater δ needs
// more. So the number of computed steps never rises, block by block. The sets are not nested, though:
test("threshold: with a greater δ each block's k-th computing step is no earlier, so that no more compute; the steps are not nested", () => {
  fc.assert(
    fc.property(
      profiles(),
      fc.double({ min: 0, max: 4, noNaN: true }),
      fc.double({ min: 0, max: 4, noNaN: true }),
      (profile, a, b) => {
        const [small, great] = [Math.min(a, b), Math.max(a, b)].map(
          (delta) => threshold(profile, { ...all, delta }).blocks,
        );
        for (const [id, computed] of Object.entries(great)) {
          expect(computed.length).toBeLessThanOrEqual(small[id].length);
          computed.forEach((step, place) => expect(step).toBeGreaterThanOrEqual(small[id][place]));
        }
      },
    ),
  );
  const constant = profileOf([[Array<number>(7).fill(0.25)]]);
  const at = (delta: number) => threshold(constant, { delta }).blocks["down_blocks.0.attentions.0"];
  expect([at(0.25), at(0.5)]).toEqual([
    [0, 2, 4, 6],
    [0, 3, 6],
  ]);
});

test("uniform and quantile compute no more with a greater parameter", () => {
  fc.assert(
    fc.property(profiles(), fc.nat(8), fc.nat(8), (profile, a, b) => {
      for (const [name, scale] of [
        ["uniform", 1],
        ["quantile", 1 / 9],
      ] as const) {
        const { find, parameter } = heuristicNamed(name);
        const [few, many] = [Math.max(a, b), Math.min(a, b)].map(
          (value) => Object.values(find(profile, { ...all, [parameter]: (value + 1) * scale }).blocks).flat().length,
        );
        expect(few).toBeLessThanOrEqual(many);
      }
    }),
    RUNS,
  );
});

const subsets = (evaluations: number): number[][] =>
  Array.from({ length: 2 ** (evaluations - 1) }, (_, bits) => [
    0,
    ...Array.from({ length: evaluations - 1 }, (_, index) => index + 1).filter((step) => bits & (2 ** (step - 1))),
  ]);

/** Missed change and seconds from the definition, step by step. */
function bySteps(
  change: readonly number[],
  computed: readonly number[],
  { compute, keep, reuse }: { compute: number; keep: number; reuse: number },
): { missed: number; seconds: number } {
  let [missed, spent, since] = [0, 0, 0];
  change.forEach((value, step) => {
    const computes = computed.includes(step);
    since = computes ? 0 : since + value;
    missed += since;
    spent += !computes ? reuse : step + 1 === change.length || computed.includes(step + 1) ? compute : keep;
  });
  return { missed, seconds: spent };
}

test("lifetimes: missed change and seconds as their definitions say", () => {
  fc.assert(
    fc.property(profiles({ blocks: 1, steps: 8, trajectories: 1 }), seconds, fc.nat(), (profile, prices, pick) => {
      const costs = costsOf(profile, prices, false);
      const [block] = blockLifetimes(profile, profile.blocks, { costs });
      const steps = profile.setting.timesteps.length;
      const computed = subsets(steps)[pick % 2 ** (steps - 1)];
      const of = (group: "compute" | "keep" | "reuse") => costs[group][block.id][0];
      const expected = bySteps([...(profile.values.change?.[block.id] ?? [])], computed, {
        compute: of("compute"),
        keep: of("keep"),
        reuse: of("reuse"),
      });
      const found = totalsOf(block, computed, steps);
      expect(found.missed).toBeCloseTo(expected.missed, 9);
      expect(found.seconds).toBeCloseTo(expected.seconds, 9);
    }),
    RUNS,
  );
});

const objective = (
  block: BlockLifetimes,
  computed: readonly number[],
  evaluations: number,
  multiplier: number,
): number => {
  const { missed, seconds: spent } = totalsOf(block, computed, evaluations);
  return missed + multiplier * spent;
};

test("dynamic programme: for each multiplier as good as the best of all schedules", () => {
  fc.assert(
    fc.property(
      profiles({ blocks: 2, steps: 8, trajectories: 2 }),
      seconds,
      fc.double({ min: 0, max: 5, noNaN: true }),
      (profile, prices, multiplier) => {
        const steps = profile.setting.timesteps.length;
        for (const block of blockLifetimes(profile, profile.blocks, { costs: costsOf(profile, prices, false) })) {
          const best = Math.min(...subsets(steps).map((computed) => objective(block, computed, steps, multiplier)));
          expect(objective(block, bestLifetimes(block, steps, multiplier), steps, multiplier)).toBeCloseTo(best, 9);
        }
      },
    ),
    RUNS,
  );
});

test("dynamic programme: the exact optimum within the budget lies no lower than its gap", () => {
  fc.assert(
    fc.property(
      profiles({ blocks: 2, steps: 5, trajectories: 1 }),
      seconds,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (profile, prices, share) => {
        const costs = costsOf(profile, prices, false);
        const steps = profile.setting.timesteps.length;
        const blocks = blockLifetimes(profile, profile.blocks, { costs });
        const speedup = valueAt("dynamic-programme", share, costs, profile);
        const {
          blocks: found,
          heuristic: { missed, gap },
        } = dynamicProgramme(profile, { ...all, costs, speedup });
        const allowed = predictSeconds(costs, { timesteps: profile.setting.timesteps, blocks: {} }) / speedup;
        const choices = blocks.reduce<number[][][]>(
          (sofar, _) => sofar.flatMap((each) => subsets(steps).map((computed) => [...each, computed])),
          [[]],
        );
        const within = choices.filter(
          (each) =>
            predictSeconds(costs, {
              timesteps: profile.setting.timesteps,
              blocks: Object.fromEntries(blocks.map(({ id }, index) => [id, each[index]])),
            }) <= allowed,
        );
        const missedBy = (each: readonly (readonly number[])[]) =>
          blocks.reduce((sum, block, index) => sum + totalsOf(block, each[index], steps).missed, 0);
        const optimum = Math.min(...within.map(missedBy));
        expect(missed).toBeCloseTo(missedBy(blocks.map(({ id }) => found[id])), 9);
        expect(Number(missed)).toBeGreaterThanOrEqual(optimum - 1e-9);
        expect(Number(missed) - Number(gap)).toBeLessThanOrEqual(optimum + 1e-9);
      },
    ),
    { numRuns: 25 },
  );
});

test("dynamic programme: never misses more than greedy within the same budget", () => {
  fc.assert(
    fc.property(
      profiles(),
      seconds,
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.boolean(),
      (profile, prices, share, inARow) => {
        const costs = costsOf(profile, prices, inARow);
        const options = { ...all, costs, speedup: valueAt("greedy", share, costs, profile) };
        const blocks = blockLifetimes(profile, profile.blocks, options);
        const missed = ({ blocks: computed }: Schedule) =>
          blocks.reduce(
            (sum, block) => sum + totalsOf(block, computed[block.id], profile.setting.timesteps.length).missed,
            0,
          );
        expect(missed(dynamicProgramme(profile, options))).toBeLessThanOrEqual(missed(greedy(profile, options)) + 1e-9);
      },
    ),
    RUNS,
  );
});

test("lifetimes that pay for dear keeping are found, where no single reuse saves anything", () => {
  // One reuse saves nothing (1.5 + 0.6 > 1 + 1), two do: 2.7 s in place of 3.
  const profile = profileOf([[[0, 1, 1, 1, 1, 1]]]);
  const of = (value: number) => ({ "down_blocks.0.attentions.0": Float64Array.of(value) });
  const costs: Costs = {
    setting: { fingerprint: "sha256:0", device: "cuda", rows: 2, latent_size: [8, 8] },
    compute: of(1),
    keep: of(1.5),
    reuse: of(0.6),
    reuse2: of(0.6),
    reuse3: of(0.6),
    rest: Float64Array.of(0),
    text: Float64Array.of(0),
    network: sideBySide(["down_blocks.0.attentions.0"]),
  };
  expect(predictSeconds(costs, greedy(profile, { costs, seconds: 5.5 }))).toBeLessThanOrEqual(5.5);
  const found = dynamicProgramme(profile, { costs, seconds: 5.5 });
  expect(predictSeconds(costs, found)).toBeLessThanOrEqual(5.5);
  // Of all 32 schedules the least within 5.5 s: three reuses in a row, 1 + 2 + 3, or two twice.
  expect(found.heuristic.missed).toBeCloseTo(6, 12);
});

test.each([
  ["greedy", greedy],
  ["dynamic programme", dynamicProgramme],
] as const)("%s reaches what reusing saves by leaving other blocks unread", (_, find) => {
  // Reusing costs more than computing here, block by block; but where the downsampler is reused, nothing reads the two before it.
  const profile = profileOf([[0, 1, 2].map((block) => Array.from({ length: 12 }, (_, step) => (step + block) / 12))], {
    kinds: ["resnet", "transformer", "downsampler"],
  });
  const costs = costsOf(profile, [0.0619, 0.93, 0.499, 0.598, 0.862], true);
  const ceiling = predictSpeedup(costs, {
    timesteps: profile.setting.timesteps,
    blocks: Object.fromEntries(profile.blocks.map(({ id }) => [id, [0]])),
  });
  expect(ceiling).toBeGreaterThan(1.3);
  const speedup = 1 + 0.99 * (ceiling - 1);
  const schedule = find(profile, { ...all, costs, speedup });
  expectValid(schedule, profile);
  expect(predictSpeedup(costs, schedule)).toBeGreaterThanOrEqual(speedup);
  expect(() => find(profile, { ...all, costs, speedup: 1.01 * ceiling })).toThrow(/^speedup: expected at most/);
});

test.each(HEURISTICS.map(({ name }) => name))(
  "%s meets a budget of seconds through its parameter, or says what it can",
  (name) => {
    fc.assert(
      fc.property(profiles(), seconds, fc.double({ min: 0.5, max: 4, noNaN: true }), (profile, prices, speedup) => {
        const costs = costsOf(profile, prices, true);
        const plain = predictSeconds(costs, { timesteps: profile.setting.timesteps, blocks: {} });
        try {
          expect(
            predictSeconds(
              costs,
              withinBudget(heuristicNamed(name), profile, { costs, seconds: plain / speedup }, all),
            ),
          ).toBeLessThanOrEqual((plain / speedup) * (1 + 1e-9));
        } catch (error) {
          expect(String(error)).toMatch(/^ArgumentError: (seconds: expected at least|speedup: expected at most)/);
        }
      }),
      { numRuns: 25 },
    );
  },
);

test("blocks are chosen by kind, pattern and resolution", () => {
  const profile = profileOf(
    [
      [
        [0, 1],
        [0, 1],
        [0, 1],
      ],
    ],
    { kinds: ["resnet", "transformer", "upsampler"] },
  );
  const ids = (options: Parameters<typeof cacheableBlocks>[1]) =>
    cacheableBlocks(profile, options).map(({ id }) => id.slice(-1));
  expect(ids({})).toEqual(["1"]);
  expect(ids({ pattern: "down_blocks.*.attentions.*" })).toEqual(["0", "1", "2"]);
  expect(ids({ pattern: "**.2" })).toEqual(["2"]);
  expect(ids({ kinds: ["resnet", "upsampler"], resolutions: [[8, 8]] })).toEqual(["0", "2"]);
  expect(() => ids({ resolutions: [[4, 4]] })).toThrow(
    /no block of kind transformer and at 4×4 that may be cached — it has resnet at 8×8/,
  );
  expect(() => ids({ pattern: "mid_block.*" })).toThrow(/pattern: the profile has no block .* named mid_block\.\*/);
});

test("a user's heuristic takes part as the library's do", () => {
  const profile = profileOf([[[0, 1, 1, 1, 1, 1]]]);
  const mine = defineHeuristic({
    name: "mine",
    find: (each, { every }: { every: number }) => uniform(each, { interval: every }),
    parameter: "every",
    values: [2, 3],
    bounds: [1, Infinity],
    integer: true,
  });
  expect(mine.find(profile, { every: 3 }).blocks["down_blocks.0.attentions.0"]).toEqual([0, 3]);
  const costs = costsOf(profile, [1], false);
  expect(withinBudget(mine, profile, { costs, speedup: 1.5 }).blocks["down_blocks.0.attentions.0"]).toEqual([0, 2, 4]);
});

test("what a heuristic needs and does not get is named", () => {
  const profile = profileOf([[[0, 1]]]);
  expect(() => heuristicNamed("direct").find(profile, { delta: 1 })).toThrow(/--pair-window/);
  expect(() => heuristicNamed("greedy").find(profile, { speedup: 2 })).toThrow(/costs: expected costs measured/);
  expect(() => heuristicNamed("greedy").find(profile, { costs: costsOf(profile, [1], false) })).toThrow(
    /speedup or seconds, one of them/,
  );
  expect(() => heuristicNamed("nonsense")).toThrow(/expected threshold, uniform, .*found "nonsense"/);
  expect(() => heuristicNamed("greedy").find(profile, { costs: costsOf(profile, [1], false), speedup: 9 })).toThrow(
    /speedup: expected at most 1\./,
  );
});

test("greedy: a block whose reuse never pays is left out where others' takes several reuses to pay", () => {
  // Of the first block two reuses pay for keeping (1.5 + 0.6 + 0.6 < 3), of the second none ever do.
  const profile = profileOf([
    [
      [0, 1, 1, 1, 1, 1],
      [0, 1, 1, 1, 1, 1],
    ],
  ]);
  const [first, second] = profile.blocks.map(({ id }) => id);
  const of = (a: number, b: number) => ({ [first]: Float64Array.of(a), [second]: Float64Array.of(b) });
  const costs: Costs = {
    setting: { fingerprint: "sha256:0", device: "cpu", rows: 2, latent_size: [8, 8] },
    compute: of(1, 1),
    keep: of(1.5, 1.5),
    reuse: of(0.6, 1.2),
    reuse2: of(0.6, 1.2),
    reuse3: of(0.6, 1.2),
    rest: Float64Array.of(0),
    text: Float64Array.of(0),
    network: sideBySide([first, second]),
  };
  // The first alone reused throughout: 1.5 + 5 × 0.6 + 6.
  for (const seconds of [11.9, 11, 10.5])
    expect(predictSeconds(costs, greedy(profile, { kinds: CACHEABLE_KINDS, costs, seconds }))).toBeLessThanOrEqual(
      seconds,
    );
  expect(() => greedy(profile, { kinds: CACHEABLE_KINDS, costs, seconds: 10.4 })).toThrow(
    /seconds: expected at least 10.5/,
  );
});
