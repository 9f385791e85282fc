import fc from "fast-check";
import { expect, test } from "vitest";
import { computeEnds, difference, forbid, limitAge, perturb, pin, union } from "../../src/caching/schedule/edits.js";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { computesAt } from "../../src/caching/schedule/schedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { profileOf, profiles } from "./madeUp.js";

/** A schedule, another for the same evaluations, and evaluations of theirs. */
const cases = fc
  .tuple(
    profiles(),
    fc.double({ min: 0, max: 2, noNaN: true }),
    fc.double({ min: 0, max: 2, noNaN: true }),
    fc.array(fc.nat(), { maxLength: 4 }),
    fc.array(fc.nat(), { maxLength: 4 }),
  )
  .map(([profile, a, b, some, others]) => {
    const { length } = profile.setting.timesteps;
    const within = (list: readonly number[]): number[] => list.map((each) => each % length);
    return {
      one: threshold(profile, { kinds: CACHEABLE_KINDS, delta: a }),
      other: threshold(profile, { kinds: CACHEABLE_KINDS, delta: b }),
      some: within(some),
      others: within(others),
      length,
    };
  });
const blocksOf = ({ blocks }: Schedule) => blocks;
const reusable = (evaluations: readonly number[]) => evaluations.filter((evaluation) => evaluation > 0);

test("edits compose: in any order where they do not contradict, repeated without effect, the last one wins where they do", () => {
  fc.assert(
    fc.property(cases, fc.nat(6), ({ one, some, others, length }, age) => {
      const pinned = pin(one, { evaluations: some });
      expect(blocksOf(pin(pinned, { evaluations: others }))).toEqual(
        blocksOf(pin(one, { evaluations: [...some, ...others] })),
      );
      expect(blocksOf(pin(pinned, { evaluations: some }))).toEqual(blocksOf(pinned));
      const forbidden = forbid(one, { evaluations: reusable(some) });
      expect(blocksOf(forbid(forbidden, { evaluations: reusable(others) }))).toEqual(
        blocksOf(forbid(one, { evaluations: reusable([...some, ...others]) })),
      );
      const apart = others.filter((evaluation) => !some.includes(evaluation));
      expect(blocksOf(pin(forbid(one, { evaluations: reusable(apart) }), { evaluations: some }))).toEqual(
        blocksOf(forbid(pinned, { evaluations: reusable(apart) })),
      );
      expect(
        Object.values(forbid(pinned, { evaluations: reusable(some) }).blocks)
          .flat()
          .filter((evaluation) => reusable(some).includes(evaluation)),
      ).toEqual([]);
      const aged = limitAge(one, age);
      expect(blocksOf(limitAge(aged, age))).toEqual(blocksOf(aged));
      for (const computed of Object.values(aged.blocks))
        computed.forEach((from, place) => expect((computed[place + 1] ?? length) - 1 - from).toBeLessThanOrEqual(age));
      const ends = computeEnds(one, { first: 2, last: 1 });
      expect(blocksOf(computeEnds(ends, { first: 2, last: 1 }))).toEqual(blocksOf(ends));
      expect(blocksOf(pin(ends, { evaluations: some }))).toEqual(blocksOf(computeEnds(pinned, { first: 2, last: 1 })));
      expect(pin(aged, { evaluations: some }).edits).toEqual([
        { edit: "limit age", age },
        { edit: "pin", evaluations: some },
      ]);
    }),
    { numRuns: 60 },
  );
});

test("union and difference: each cell as either, neither, one alone", () => {
  fc.assert(
    fc.property(cases, ({ one, other, length }) => {
      const both = union(one, other);
      expect(blocksOf(both)).toEqual(blocksOf(union(other, one)));
      expect(blocksOf(union(both, one))).toEqual(blocksOf(both));
      const { only_first, only_second } = difference(one, other);
      expect(difference(other, one)).toEqual({ only_first: only_second, only_second: only_first });
      expect(difference(one, one)).toEqual({ only_first: {}, only_second: {} });
      for (const id of Object.keys(one.blocks)) {
        for (let evaluation = 0; evaluation < length; evaluation++) {
          const [first, second] = [computesAt(one, id, evaluation), computesAt(other, id, evaluation)];
          expect(computesAt(both, id, evaluation)).toBe(first || second);
          expect([
            only_first[id]?.includes(evaluation) ?? false,
            only_second[id]?.includes(evaluation) ?? false,
          ]).toEqual([first && !second, second && !first]);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("perturb: as many cells compute, each moved by at most one; a seed gives one schedule; 0 moves none", () => {
  fc.assert(
    fc.property(cases, fc.nat(), ({ one }, seed) => {
      const moved = perturb(one, { seed, probability: 0.7 });
      expect(blocksOf(perturb(one, { seed, probability: 0.7 }))).toEqual(blocksOf(moved));
      expect(blocksOf(perturb(one, { seed, probability: 0 }))).toEqual(blocksOf(one));
      for (const [id, computed] of Object.entries(one.blocks)) {
        expect(moved.blocks[id].length).toBe(computed.length);
        moved.blocks[id].forEach((evaluation) =>
          expect(computed.some((each) => Math.abs(each - evaluation) <= 1)).toBe(true),
        );
      }
    }),
    { numRuns: 60 },
  );
});

test("a block that only one schedule names always computes in their union; blocks are chosen by pattern", () => {
  const schedule = threshold(
    profileOf([
      [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
      ],
    ]),
    { delta: 1 },
  );
  const [a, b] = ["down_blocks.0.attentions.0", "down_blocks.0.attentions.1"];
  expect(Object.keys(union(schedule, { ...schedule, blocks: { [a]: [0] } }).blocks)).toEqual([a]);
  expect(difference(schedule, { ...schedule, blocks: { [a]: [0] } })).toEqual({
    only_first: {},
    only_second: { [b]: [1, 2, 3] },
  });
  expect(pin(schedule, { blocks: "**.1", evaluations: [2] }).blocks).toEqual({ [a]: [0], [b]: [0, 2] });
});

test("edits refuse what the schedule does not have", () => {
  const schedule = threshold(profileOf([[[0, 1, 1]]]), { delta: 0 });
  expect(() => pin(schedule, { blocks: "up_blocks.**", evaluations: [1] })).toThrow(
    /expected a pattern of scheduled blocks, found "up_blocks\.\*\*" — there are down_blocks\.0/,
  );
  expect(() => pin(schedule, { evaluations: [3] })).toThrow(/integers from 0 to 2, found 3/);
  expect(() => forbid(schedule, { evaluations: [0] })).toThrow(/integers from 1 to 2, found 0/);
  expect(() => limitAge(schedule, -1)).toThrow(/age: expected an integer of 0 or more/);
  expect(() => union(schedule, { ...schedule, timesteps: [5] })).toThrow(
    /for the same timesteps, found 1 evaluations from 5/,
  );
});
