/** max |actual − expected|; infinite where the lengths differ, NaN where a value is. */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  return Array.from(actual, (value, i) => Math.abs(value - expected[i])).reduce((a, b) => Math.max(a, b), 0);
}
