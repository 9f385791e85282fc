/** Sums of small whole numbers are exact in float32, whatever the order: the kernel must give them to the last unit. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { HostBranch } from "../../src/instrument/hostSums.js";

function exactSums(now: Float32Array, then: Float32Array): number[] {
  const sums = [0, 0, 0, 0];
  for (const [index, value] of now.entries()) {
    const difference = value - then[index];
    [Math.abs(difference), Math.abs(value), difference ** 2, value ** 2].forEach((term, sum) => (sums[sum] += term));
  }
  return sums;
}

it("the four sums of every row against every kept C, however rows fall on lanes and chunks", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }), (rowLength, rows, window) => {
      const branches = [11, 13, 7, 5, 3].map((modulus, seed) => Float32Array.from({ length: rows * rowLength }, (_, index) => (((index + 1) * 7919 * (seed + 1)) % modulus) - (modulus >> 1)));
      const host = new HostBranch(rows * rowLength, window);
      const row = (values: Float32Array, index: number): Float32Array => values.subarray(index * rowLength, (index + 1) * rowLength);
      for (const [step, now] of branches.entries()) {
        const earlier = step === 0 ? [now] : branches.slice(Math.max(0, step - window), step).reverse();
        expect(host.push(now, rows)).toEqual(earlier.map((then) => Array.from({ length: rows }, (_, index) => exactSums(row(now, index), row(then, index)))));
      }
    }),
    { numRuns: 50 },
  );
});

it("after clear nothing earlier is compared with", () => {
  const host = new HostBranch(5, 2);
  host.push(Float32Array.of(1, 2, 3, 4, 5), 1);
  host.clear();
  expect(host.push(Float32Array.of(1, 1, 1, 1, 1), 1)).toEqual([[[0, 5, 0, 5]]]);
});

it("a NaN or an infinity is not lost", () => {
  const host = new HostBranch(5, 1);
  host.push(new Float32Array(5), 1);
  expect(host.push(Float32Array.of(1, 2, 3, 4, NaN), 1)[0][0][0]).toBeNaN();
  const other = new HostBranch(5, 1);
  other.push(new Float32Array(5), 1);
  expect(other.push(Float32Array.of(1, -Infinity, 3, 4, 5), 1)[0][0][1]).toBe(Infinity);
});
