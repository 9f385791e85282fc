import { expect, test } from "vitest";
import { costsCaveats, requireCostsOf } from "../../src/caching/costs/requireCosts.js";
import { costsOf, profileOf } from "./madeUp.js";

const costs = costsOf(profileOf([[[0, 1]]]), [1], false);
const model = { fingerprint: "sha256:0", name: "made up" };

test("costs stand for their own model at their own size, and no other", () => {
  expect(() => requireCostsOf(costs, model, [8, 8])).not.toThrow();
  expect(() => requireCostsOf(costs, { ...model, fingerprint: "sha256:1" }, [8, 8])).toThrow(
    /costs: expected those of made up, found another model's/,
  );
  expect(() => requireCostsOf(costs, model, [8, 16])).toThrow(
    /costs: expected those of 8×16 latents, found 8×8 — measure them at this size/,
  );
});

test("other rows and another device are said", () => {
  expect(costsCaveats(costs, { rows: 2, device: "cpu" })).toEqual([]);
  expect(costsCaveats(costs, { rows: 2 })).toEqual([]);
  expect(costsCaveats(costs, { rows: 8, device: "webgpu" })).toEqual([
    expect.stringMatching(/measured at 2 rows, and a batch here has 8/),
    expect.stringMatching(/measured on cpu, and this runs on webgpu/),
  ]);
});
