import { expect, test } from "vitest";
import { colourScale, projectFeatures, toRgb } from "../../src/instrument/features/featureMap.js";
import { fitComponents } from "../../src/instrument/features/pca.js";
import { fixture, largestDifference, tensorOf } from "./pcaFixture.js";

test.each(Object.entries(fixture.cases))("scores and percentiles as scikit-learn and numpy: %s", (_, expected) => {
  const tensor = tensorOf(expected);
  const map = projectFeatures(tensor, 0, fitComponents([tensor]));
  const largest = Math.max(...expected.scores.map(Math.abs));
  expect(map.dims).toEqual([3, expected.dims[2], expected.dims[3]]);
  // pca.transform(observations of batch row 0); our scores are rounded to float32
  expect(largestDifference(map.data, expected.scores) / largest).toBeLessThan(1e-6);
  // np.percentile(scores, [1, 99], axis=0)
  const { low, high } = colourScale([map]);
  expect(largestDifference(low, expected.percentiles[0]) / largest).toBeLessThan(1e-6);
  expect(largestDifference(high, expected.percentiles[1]) / largest).toBeLessThan(1e-6);
});

test("one scale for all maps: equal scores get equal colours", () => {
  const first = { dims: [3, 1, 2], data: Float32Array.of(0, 1, 0, 2, 0, 4) };
  const second = { dims: [3, 1, 2], data: Float32Array.of(1, 3, 2, 6, 4, 12) };
  const scale = { low: [0, 0, 0], high: [2, 4, 8] };
  const [a, b] = toRgb([first, second], scale);
  expect(Array.from(a.rgb)).toEqual([0, 0, 0, 128, 128, 128]);
  // Scores beyond the scale are clipped.
  expect(Array.from(b.rgb)).toEqual([128, 128, 128, 255, 255, 255]);
  expect([a.width, a.height]).toEqual([2, 1]);
});

test("the default scale spans the 1st to the 99th percentile of all maps together", () => {
  // 0…100 in each component over two maps: percentiles 1 and 99 are the scores 1 and 99.
  const ramp = (from: number, to: number): { dims: number[]; data: Float32Array } => {
    const scores = Array.from({ length: to - from }, (_, index) => from + index);
    return { dims: [3, 1, scores.length], data: Float32Array.from([...scores, ...scores, ...scores]) };
  };
  const maps = [ramp(0, 50), ramp(50, 101)];
  expect(colourScale(maps)).toEqual({ low: [1, 1, 1], high: [99, 99, 99] });
  const [low, high] = toRgb(maps);
  expect(Array.from(low.rgb.subarray(0, 6))).toEqual([0, 0, 0, 0, 0, 0]);
  expect(high.rgb[0]).toBe(128);
  expect(Array.from(high.rgb.subarray(-3))).toEqual([255, 255, 255]);
});

test("a component without spread is mid grey", () => {
  const features = { dims: [1, 4, 1, 2], data: Float32Array.of(1, 3, 0, 0, 5, 1, 2, 2) };
  const [image] = toRgb([projectFeatures(features, 0, fitComponents([features]))]);
  expect(Array.from(image.rgb)).toEqual([255, 128, 128, 0, 128, 128]);
});

test("refuses maps of another k, scores that are not finite, and no maps", () => {
  expect(() => toRgb([{ dims: [2, 1, 1], data: new Float32Array(2) }])).toThrow(/fit with k = 3/);
  expect(() => colourScale([{ dims: [3, 1, 1], data: Float32Array.of(0, NaN, 0) }])).toThrow(/not finite/);
  expect(() => colourScale([])).toThrow(/at least one map/);
});
