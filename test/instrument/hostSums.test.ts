/** Sums of small whole numbers are exact in float32, whatever the order: the kernel must give them to the last unit. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { openDevice } from "../../src/engine/device.js";
import { hostSums } from "../../src/instrument/change/hostSums.js";

const { backend } = await openDevice();

/** The sums of rows of numbers [rows, length]. */
function sumsOf(now: Float32Array, then: Float32Array, rows: number): Float64Array {
  const dims = [rows, now.length / rows];
  using current = backend.upload({ type: "float32", dims, data: now });
  using previous = backend.upload({ type: "float32", dims, data: then });
  return hostSums(current, previous);
}

it("the four sums of each row, however rows fall on lanes and chunks", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 70_000 }), (rows, length) => {
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
      expect(sumsOf(now, then, rows)).toEqual(expected);
    }),
    { numRuns: 50 },
  );
});

it("a NaN or an infinity is not lost", () => {
  const then = new Float32Array(5);
  expect(sumsOf(Float32Array.of(1, 2, 3, 4, NaN), then, 1)[0]).toBeNaN();
  expect(sumsOf(Float32Array.of(1, -Infinity, 3, 4, 5), then, 1)[1]).toBe(Infinity);
});
