import fc from "fast-check";
import { expect, test } from "vitest";
import { createCovariance } from "../../src/instrument/features/covariance.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";
import { largestDifference } from "./pcaFixture.js";

/** The definition, in two passes over all pixels. */
function twoPass(tensors: readonly FloatTensor[], channels: number): { mean: number[]; covariance: number[] } {
  const observations = tensors.flatMap(({ dims, data }) => {
    const pixels = dims[2] * dims[3];
    return Array.from({ length: dims[0] * pixels }, (_, index) =>
      Array.from({ length: channels }, (_, channel) => {
        const row = Math.floor(index / pixels);
        return data[(row * channels + channel) * pixels + (index % pixels)];
      }),
    );
  });
  const mean = Array.from(
    { length: channels },
    (_, c) => observations.reduce((sum, o) => sum + o[c], 0) / observations.length,
  );
  const covariance = Array.from({ length: channels * channels }, (_, index) => {
    const i = Math.floor(index / channels);
    const j = index % channels;
    return observations.reduce((sum, o) => sum + (o[i] - mean[i]) * (o[j] - mean[j]), 0) / (observations.length - 1);
  });
  return { mean, covariance };
}

const steps = fc.integer({ min: 1, max: 5 }).chain((channels) =>
  fc.array(
    fc
      .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 3 }), fc.integer({ min: 2, max: 4 }))
      .chain(([batch, height, width]) => {
        const length = batch * channels * height * width;
        return fc
          .array(fc.float({ min: -10, max: 10, noNaN: true }), { minLength: length, maxLength: length })
          .map((values): FloatTensor => ({ dims: [batch, channels, height, width], data: Float32Array.from(values) }));
      }),
    { minLength: 1, maxLength: 6 },
  ),
);

test("streamed over steps = all at once, and the order of adding does not matter", () => {
  fc.assert(
    fc.property(steps, (tensors) => {
      const channels = tensors[0].dims[1];
      const expected = twoPass(tensors, channels);
      for (const order of [tensors, [...tensors].reverse()]) {
        const statistics = createCovariance(channels);
        for (const tensor of order) statistics.add(tensor);
        expect(largestDifference(statistics.mean, expected.mean)).toBeLessThan(1e-10);
        expect(largestDifference(statistics.covariance(), expected.covariance)).toBeLessThan(1e-10);
      }
    }),
  );
});

test("one row at a time = the whole batch", () => {
  fc.assert(
    fc.property(steps, ([tensor]) => {
      const whole = createCovariance(tensor.dims[1]);
      whole.add(tensor);
      const rows = createCovariance(tensor.dims[1]);
      for (let row = 0; row < tensor.dims[0]; row++) rows.add(tensor, row);
      expect(rows.count).toBe(whole.count);
      expect(largestDifference(rows.covariance(), whole.covariance())).toBeLessThan(1e-12);
    }),
  );
});

test("a map of more pixels than one chunk, about a mean of a million", () => {
  const pixels = 50 * 50;
  // 1e6 ± 1 alternating, and a ramp: closed forms of variance and covariance.
  const data = new Float32Array(2 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    data[pixel] = 1e6 + (pixel % 2 === 0 ? 1 : -1);
    data[pixels + pixel] = pixel;
  }
  const statistics = createCovariance(2);
  statistics.add({ dims: [1, 2, 50, 50], data });
  const [variance, covariance, , ramp] = statistics.covariance();
  expect(variance).toBeCloseTo(pixels / (pixels - 1), 12);
  expect(covariance).toBeCloseTo(-pixels / 2 / (pixels - 1), 10);
  expect(ramp / ((pixels * (pixels + 1)) / 12)).toBeCloseTo(1, 12);
});

test("refuses tensors of another block, rows outside the batch and fewer than two pixels", () => {
  const statistics = createCovariance(2);
  const tensor: FloatTensor = { dims: [1, 2, 1, 1], data: new Float32Array(2) };
  expect(() => statistics.add({ dims: [1, 3, 1, 1], data: new Float32Array(3) })).toThrow(/2 channels/);
  expect(() => statistics.add(tensor, 1)).toThrow(/batch row 1/);
  statistics.add(tensor);
  expect(() => statistics.covariance()).toThrow(/at least two pixels are needed, got 1/);
});
