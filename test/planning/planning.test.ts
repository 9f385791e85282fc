/** Planning as a page does it: data that went through JSON, edits, and what follows from them. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fileURLToPath } from "node:url";
import { hold } from "../../src/caching/run/reuseRule.js";
import { loadProfile } from "../../src/instrument/profile/profileFile.js";
import { defineHeuristic } from "../../src/caching/heuristics/registry.js";
import { scheduleOf } from "../../src/caching/schedule/createSchedule.js";
import { profileDigest } from "../../src/instrument/profile/profileDigest.js";
import {
  FIRST_PLAN,
  computesAt,
  editPlan,
  measurementsFromJson,
  measurementsJson,
  planSchedule,
  predictPlan,
} from "../../src/planning/index.js";
import type { Plan, PlanEdit } from "../../src/planning/index.js";
import { costsOf, profileOf, profiles } from "../caching/madeUp.js";

const fixture = fileURLToPath(new URL("../fixtures/profile-ddim.safetensors", import.meta.url));
const plan = (values: Partial<Plan> = {}): Plan => ({ ...FIRST_PLAN, ...values });

describe("a profile's digest", () => {
  it("is the sha256 that Node's own crypto gives", async () => {
    const profile = await loadProfile(fixture);
    const hash = createHash("sha256").update(JSON.stringify([profile.setting, profile.trajectories]));
    for (const { id } of profile.blocks) {
      const values = profile.values.change?.[id] ?? new Float64Array();
      hash.update(id).update(Buffer.from(values.buffer, values.byteOffset, values.byteLength));
    }
    expect(profileDigest(profile)).toBe(`sha256:${hash.digest("hex")}`);
  });
});

describe("measurements as JSON", () => {
  it("come back to the last bit, and plan the same", () => {
    fc.assert(
      fc.property(profiles(), fc.double({ min: 0, max: 1, noNaN: true }), (profile, delta) => {
        const costs = costsOf(profile, [0.02, 0.01], true);
        const back = measurementsFromJson(measurementsJson({ profile, costs }));
        expect(back.profile).toEqual(profile);
        expect(back.costs).toEqual(costs);
        const own = plan({ options: { delta }, kinds: [profile.blocks[0].kind] });
        expect(planSchedule(own, back)).toEqual(planSchedule(own, { profile, costs }));
        expect(predictPlan(back.costs, planSchedule(own, back), hold)).toEqual(
          predictPlan(costs, planSchedule(own, { profile, costs }), hold),
        );
      }),
    );
  });
});

/** Edits of a profile of 3 blocks and 10 evaluations. */
const [BLOCKS, EVALUATIONS] = [3, 10];
const profile = profileOf([
  Array.from({ length: BLOCKS }, (_, block) =>
    Array.from({ length: EVALUATIONS }, (_, step) => 0.05 * (block + 1) + 0.01 * step),
  ),
]);
const measurements = { profile, costs: costsOf(profile, [0.02, 0.01], true) };
const ids = profile.blocks.map(({ id }) => id);
const edits: fc.Arbitrary<PlanEdit> = fc.oneof(
  fc.record({
    kind: fc.constant("paint" as const),
    mark: fc.constantFrom("compute" as const, "reuse" as const, "clear" as const),
    blocks: fc.subarray(ids, { minLength: 1 }),
    evaluations: fc.subarray([...Array(EVALUATIONS).keys()], { minLength: 1 }),
  }),
  fc
    .double({ min: 0, max: 1, noNaN: true })
    .map((delta): PlanEdit => ({ kind: "set", values: { heuristic: "threshold", options: { delta }, speedup: null } })),
  fc
    .integer({ min: 1, max: 4 })
    .map((interval): PlanEdit => ({ kind: "set", values: { heuristic: "uniform", options: { interval } } })),
  fc
    .record({ first: fc.integer({ min: 1, max: 3 }), last: fc.integer({ min: 0, max: 3 }) })
    .map((ends): PlanEdit => ({ kind: "set", values: { ends } })),
  fc.option(fc.integer({ min: 0, max: 5 })).map((maxAge): PlanEdit => ({ kind: "set", values: { maxAge } })),
);

describe("a plan", () => {
  it("does what was painted last at every painted cell, whatever else is set", () => {
    fc.assert(
      fc.property(fc.array(edits, { maxLength: 30 }), (list) => {
        const expected = new Map<string, "compute" | "reuse">();
        for (const edit of list) {
          if (edit.kind !== "paint") continue;
          for (const id of edit.blocks)
            for (const evaluation of edit.evaluations) {
              const key = `${id} ${evaluation}`;
              if (edit.mark === "clear" || (edit.mark === "reuse" && evaluation === 0)) expected.delete(key);
              else expected.set(key, edit.mark);
            }
        }
        const schedule = planSchedule(list.reduce(editPlan, plan()), measurements);
        for (const [key, mark] of expected) {
          const [id, evaluation] = key.split(" ");
          expect(computesAt(schedule, id, Number(evaluation)), key).toBe(mark === "compute");
        }
      }),
    );
  });

  it("keeps ends and ages at every cell that was not painted", () => {
    fc.assert(
      fc.property(
        fc.record({ first: fc.integer({ min: 1, max: 4 }), last: fc.integer({ min: 0, max: 4 }) }),
        fc.integer({ min: 0, max: 4 }),
        fc.double({ min: 0, max: 3, noNaN: true }),
        (ends, maxAge, delta) => {
          const schedule = planSchedule(plan({ ends, maxAge, options: { delta } }), measurements);
          for (const computed of Object.values(schedule.blocks)) {
            for (let evaluation = 0; evaluation < EVALUATIONS; evaluation++)
              if (evaluation < ends.first || evaluation >= EVALUATIONS - ends.last)
                expect(computed).toContain(evaluation);
            [...computed, EVALUATIONS].forEach((evaluation, index) => {
              if (index > 0) expect(evaluation - computed[index - 1] - 1).toBeLessThanOrEqual(maxAge);
            });
          }
        },
      ),
    );
  });

  it("lets nothing be reused that a kind does not allow, and paints blocks that no heuristic chose", () => {
    const schedule = planSchedule(
      plan({ imported: planSchedule(plan(), measurements), cells: { [ids[2]]: { 3: "reuse" } } }),
      measurements,
    );
    expect(schedule.blocks[ids[2]]).not.toContain(3);
    expect(schedule.edits?.at(-1)).toEqual({ edit: "paint", cells: { [ids[2]]: { 3: "reuse" } } });
  });

  it("asks a user's own heuristic as everything else does: with copies, and what it says is checked", () => {
    const own = defineHeuristic({
      name: "own",
      parameter: "",
      values: [],
      find: (given) => {
        given.values.change?.[ids[0]]?.fill(NaN);
        return scheduleOf(given.setting, { heuristic: { name: "own" }, blocks: { nowhere: [0, 1] } });
      },
    });
    const before = profileDigest(profile);
    expect(() => planSchedule(plan({ heuristic: "own" }), measurements, own)).toThrow(/^own: the schedule that it/);
    expect(profileDigest(profile)).toBe(before);
  });
  it("gives the heuristic the place of an imported schedule when it is set, and takes targets away by null", () => {
    const imported = planSchedule(plan(), measurements);
    const set = editPlan(plan({ imported, speedup: 1.2 }), {
      kind: "set",
      values: { options: { delta: 1 }, speedup: null },
    });
    expect(set).toEqual({ ...plan(), options: { delta: 1 } });
    expect(editPlan(plan({ imported }), { kind: "set", values: { reuse: "linear" } }).imported).toBe(imported);
  });
});
