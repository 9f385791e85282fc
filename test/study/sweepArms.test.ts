import { expect, test } from "vitest";
import { heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { defineReuseRule, hold, linear, quadratic } from "../../src/caching/run/reuseRule.js";
import { provenanceOf } from "../../src/caching/adjustment/adjustment.js";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { sweepArms } from "../../src/study/sweepArms.js";
import { costsOf, profileOf } from "../caching/madeUp.js";

const profile = profileOf([
  [
    [0, 0.3, 0.1, 0.2, 0.4, 0.1, 0.2, 0.3],
    [0, 0.1, 0.1, 0.3, 0.1, 0.2, 0.1, 0.1],
  ],
]);
const costs = {
  ...costsOf(profile, [1], false),
  reuse2: { "down_blocks.0.attentions.0": Float64Array.of(0.6), "down_blocks.0.attentions.1": Float64Array.of(0.6) },
};
const kinds = [{ label: "transformers", kinds: ["transformer" as const] }];

test("a budget is met with each rule's own sums", () => {
  const arms = sweepArms(profile, {
    heuristics: [{ heuristic: heuristicNamed("greedy"), values: [1.2] }],
    kinds,
    reuse: [hold, linear, quadratic],
    plainSteps: [],
    costs,
  });
  const rules = { hold, linear, quadratic };
  for (const { cached } of arms.slice(1))
    expect(predictSpeedup(costs, cached!.schedule, rules[cached!.reuse as keyof typeof rules])).toBeGreaterThanOrEqual(
      1.2,
    );
  const [, held, drawn] = arms.map(({ cached }) => cached?.schedule);
  // Held, fewer reuses are enough.
  expect(predictSpeedup(costs, held!, linear)).toBeLessThan(1.2);
  expect(drawn!.blocks).not.toEqual(held!.blocks);
});

test("further schedules are arms of their own steps, with every rule; a rule that its name does not stand for is refused", () => {
  const schedule = { ...heuristicNamed("uniform").find(profile, { interval: 2 }), num_inference_steps: 5 };
  const sweep = {
    heuristics: [],
    kinds,
    reuse: [hold, linear],
    plainSteps: [4],
    schedules: [{ name: "edited", schedule }],
  };
  expect(
    sweepArms(profile, sweep).map(({ name, steps, cached }) => [name, steps, cached?.reuse, cached?.schedule]),
  ).toEqual([
    ["plain 4", 4, undefined, undefined],
    ["plain 8", 8, undefined, undefined],
    ["edited, hold", 5, "hold", schedule],
    ["edited, linear", 5, "linear", schedule],
  ]);
  const mine = { name: "mine", history: 1, weights: () => [0.9] };
  expect(() => sweepArms(profile, { ...sweep, reuse: [mine] })).toThrow(/reuse: expected hold, .*found "mine"/);
  defineReuseRule(mine);
  expect(sweepArms(profile, { ...sweep, reuse: [mine] })[2].name).toBe("edited, mine");
  expect(() => sweepArms(profile, { ...sweep, reuse: [{ ...mine }] })).toThrow(/found another one named "mine"/);
});

test("an adjustment is an arm beside the one that it was fitted for; fitted for none, it is refused by name", () => {
  const kindsOf = {
    heuristics: [{ heuristic: heuristicNamed("threshold"), values: [0.2, 0.4] }],
    kinds,
    plainSteps: [],
  };
  const { cached } = sweepArms(profile, { ...kindsOf, reuse: [hold] })[2];
  const adjustment: Adjustment = {
    schedule: provenanceOf(cached!.schedule),
    reuse: "hold",
    halves: 1,
    fit: { method: "by hand" },
    report: {},
    library_version: "0",
    blocks: {},
  };
  const reference = { file: "/a.safetensors", sha256: "0", terms: ["scale" as const, "shift" as const] };
  const named = (changes: Partial<Adjustment> = {}) => [
    { name: "scale-shift", adjustment: { ...adjustment, ...changes }, reference },
  ];
  const arms = sweepArms(profile, { ...kindsOf, reuse: [linear, hold], adjustments: named() });
  expect(arms.at(-1)).toEqual({
    ...arms.find(({ name }) => name === "threshold δ 0.4, transformers, hold"),
    name: "threshold δ 0.4, transformers, hold, scale-shift",
    cached: { ...cached, adjustment: reference },
  });
  expect(() => sweepArms(profile, { ...kindsOf, reuse: [linear], adjustments: named() })).toThrow(
    /adjustment: scale-shift: fitted for a schedule of threshold with 8 steps \(sha256:.*and the reuse rule hold, and no arm/,
  );
  const other = named({ schedule: { ...adjustment.schedule, digest: "sha256:0" } });
  expect(() => sweepArms(profile, { ...kindsOf, reuse: [hold], adjustments: other })).toThrow(/no arm has these/);
});
