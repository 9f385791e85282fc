/** Sums of small whole numbers are exact in float32, whatever the order: the kernel must give them to the last unit. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { hostSums } from "../../src/instrument/change/hostSums.js";

it("the four sums of each row, however rows fall on lanes and chunks", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 9000 }), (rows, length) => {
      const now = Float32Array.from({ length: rows * length }, (_, index) => ((index * 7919) % 11) - 5);
      const then = Float32Array.from({ length: rows * length }, (_, index) => ((index * 104729) % 13) - 6);
      const expected = new Float64Array(4 * rows);
      for (let index = 0; index < rows * length; index++) {
        const difference = now[index] - then[index];
        const row = Math.floor(index / length);
        [Math.abs(difference), Math.abs(now[index]), difference ** 2, now[index] ** 2].forEach(
          (term, sum) => (expected[4 * row + sum] += term),
        );
      }
      expect(hostSums(now, then, rows)).toEqual(expected);
    }),
  );
});

it("a NaN or an infinity is not lost", () => {
  const then = new Float32Array(5);
  expect(hostSums(Float32Array.of(1, 2, 3, 4, NaN), then, 1)[0]).toBeNaN();
  expect(hostSums(Float32Array.of(1, -Infinity, 3, 4, 5), then, 1)[1]).toBe(Infinity);
});
