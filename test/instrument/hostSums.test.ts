/** Sums of small whole numbers are exact in float32, whatever the order: the kernel must give them to the last unit. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { hostSums } from "../../src/instrument/hostSums.js";

it("the four sums over any stretch, however it falls on lanes and chunks", () => {
  const LENGTH = 9000;
  const now = Float32Array.from({ length: LENGTH }, (_, index) => (index * 7919) % 11 - 5);
  const then = Float32Array.from({ length: LENGTH }, (_, index) => (index * 104729) % 13 - 6);
  fc.assert(
    fc.property(fc.nat(LENGTH), fc.nat(LENGTH), (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const expected = [0, 0, 0, 0];
      for (let index = start; index < end; index++) {
        const difference = now[index] - then[index];
        [Math.abs(difference), Math.abs(now[index]), difference ** 2, now[index] ** 2].forEach((term, sum) => (expected[sum] += term));
      }
      expect(hostSums(now, then, start, end)).toEqual(expected);
    }),
  );
});

it("a NaN or an infinity is not lost", () => {
  const then = new Float32Array(5);
  expect(hostSums(Float32Array.of(1, 2, 3, 4, NaN), then, 0, 5)[0]).toBeNaN();
  expect(hostSums(Float32Array.of(1, -Infinity, 3, 4, 5), then, 0, 5)[1]).toBe(Infinity);
});
