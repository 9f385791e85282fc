/**
 * Krippendorff's α for ordered categories (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability"): 1 is full
 * agreement, 0 what chance would give. Units with fewer than two values are ignored.
 *
 * @param units the values of each unit, by whoever rated it
 * @param order the categories from one end to the other
 * @returns NaN where no unit has two values, or all values are equal
 */
export function krippendorffAlpha<Value>(units: readonly (readonly Value[])[], order: readonly Value[]): number {
  const rated = units.filter(({ length }) => length > 1).map((unit) => unit.map((value) => order.indexOf(value)));
  const totals = order.map((_, category) => rated.flat().filter((value) => value === category).length);
  // δ²(c, k): as many values as lie between the two, half of their own counted
  const between = (c: number, k: number): number =>
    (totals.slice(Math.min(c, k), Math.max(c, k) + 1).reduce((sum, count) => sum + count, 0) -
      (totals[c] + totals[k]) / 2) **
    2;
  const observed = rated.reduce(
    (sum, unit) =>
      sum + unit.flatMap((c) => unit.map((k) => between(c, k))).reduce((a, b) => a + b, 0) / (unit.length - 1),
    0,
  );
  const count = totals.reduce((sum, total) => sum + total, 0);
  const expected =
    totals.flatMap((n, c) => totals.map((m, k) => n * m * between(c, k))).reduce((sum, each) => sum + each, 0) /
    (count - 1);
  return expected === 0 ? NaN : 1 - observed / expected;
}
