/** The search of a parameter for a budget, whatever a user's heuristic makes of the parameter. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { defineHeuristic } from "../../src/caching/heuristics/registry.js";
import type { HeuristicDefinition, NamedOptions } from "../../src/caching/heuristics/registry.js";
import { withinBudget } from "../../src/caching/heuristics/search.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { createSchedule } from "../../src/caching/schedule/createSchedule.js";
import { costsOf, profileOf } from "./madeUp.js";

const profile = profileOf([[[0, 0.3, 0.1, 0.2, 0.4, 0.1, 0.2, 0.3, 0.2, 0.3, 0.1, 0.2]]]);
const [{ id }] = profile.blocks;
// Computing takes 1 s, reusing 0.1 s, the rest of an evaluation 0.1 s, the text 0.2 s.
const costs = costsOf(profile, [1], false);
const speedupOf = (interval: number): number => predictSpeedup(costs, uniform(profile, { interval }));

/** Every n-th evaluation computes, n of the parameter's value; `called` collects the values. */
function heuristic(
  intervalOf: (value: number) => number,
  called: number[],
  rest: Partial<HeuristicDefinition<NamedOptions>> = {},
) {
  return defineHeuristic({
    name: "mine",
    parameter: "n",
    values: [],
    ...rest,
    find: (given, { n }: NamedOptions) => {
      called.push(Number(n));
      return uniform(given, { interval: intervalOf(Number(n)) });
    },
  });
}

test("without bounds it stays within the heuristic's values, whole numbers where they are whole", () => {
  const called: number[] = [];
  const mine = heuristic((n) => n, called, { values: [2, 6] });
  expect(withinBudget(mine, profile, { costs, speedup: 1.1 }).heuristic).toMatchObject({ interval: 2, speedup: 1.1 });
  const wanted = (speedupOf(3) + speedupOf(4)) / 2;
  expect(withinBudget(mine, profile, { costs, speedup: wanted }).heuristic).toMatchObject({ interval: 4 });
  expect(() => withinBudget(mine, profile, { costs, speedup: 100 })).toThrow(
    /speedup: expected at most \d\.\d+, which the heuristic mine reaches at n 6, found 100 — with other bounds/,
  );
  expect(called.every((n) => Number.isInteger(n) && n >= 2 && n <= 6)).toBe(true);
});

test("a heuristic that would never end at 0 is not asked for it", () => {
  const mine = defineHeuristic({
    name: "loop",
    parameter: "every",
    values: [2],
    find: (given, { every }: NamedOptions) => {
      const list: number[] = [];
      for (let i = 0; i < given.setting.timesteps.length; i += Number(every)) list.push(i);
      return createSchedule(given, { name: "loop", every }, { [id]: list });
    },
  });
  expect(withinBudget(mine, profile, { costs, speedup: 1.05 }).heuristic).toMatchObject({ every: 2, speedup: 1.05 });
});

test("a parameter that runs the other way is found as well as one that runs the usual way", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 4, noNaN: true }),
      fc.boolean(),
      fc.integer({ min: 1, max: 12 }),
      (speedup, reversed, most) => {
        const called: number[] = [];
        const mine = heuristic((n) => (reversed ? most + 1 - n : n), called, { values: [1, most] });
        const intervals = Array.from({ length: most }, (_, index) => index + 1);
        const expected = intervals.filter((interval) => speedupOf(interval) >= speedup);
        const find = () => withinBudget(mine, profile, { costs, speedup });
        if (expected.length === 0) expect(find).toThrow(/^speedup: expected at most/);
        else expect(predictSpeedup(costs, find())).toBeCloseTo(Math.min(...expected.map(speedupOf)), 9);
        expect(called.length).toBeLessThan(60);
      },
    ),
  );
});

test("bounds may be open, and a parameter without effect ends with an answer or an error", () => {
  const called: number[] = [];
  const open = heuristic((n) => Math.max(1, Math.floor(n / 100)), called, { bounds: [0, Infinity] });
  expect(withinBudget(open, profile, { costs, speedup: speedupOf(3) }).heuristic).toMatchObject({ interval: 3 });
  const idle = heuristic(() => 2, called, { bounds: [0, Infinity], values: [0.5] });
  expect(withinBudget(idle, profile, { costs, speedup: 1.1 }).heuristic).toMatchObject({ interval: 2, speedup: 1.1 });
  called.length = 0;
  expect(() => withinBudget(idle, profile, { costs, speedup: 3 })).toThrow(/the heuristic mine reaches at n/);
  expect(called.length).toBeLessThan(40);
  expect(() =>
    withinBudget(
      heuristic((n) => n, called),
      profile,
      { costs, speedup: 2 },
    ),
  ).toThrow(/heuristic mine: expected values of n or bounds to search between, found none/);
});

test("a heuristic that plans for a speed-up itself says what was asked, and is refused where it is slower", () => {
  const mine = defineHeuristic({
    name: "mine",
    parameter: "speedup",
    values: [1.1, 1.2],
    find: (given) => uniform(given, { interval: 2 }),
  });
  expect(withinBudget(mine, profile, { costs, speedup: 1.1 }).heuristic).toMatchObject({ interval: 2, speedup: 1.1 });
  expect(() => withinBudget(mine, profile, { costs, speedup: speedupOf(2) + 0.01 })).toThrow(
    /which the heuristic mine reaches at speedup .* — the heuristic itself should have planned for that/,
  );
});
