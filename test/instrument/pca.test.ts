import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { createCovariance } from "../../src/instrument/features/covariance.js";
import { leadingEigenpairs } from "../../src/numerics/leadingEigenvectors.js";
import { fitComponents } from "../../src/instrument/features/pca.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";
import { fixture, largestDifference, tensorOf } from "./pcaFixture.js";

describe("against scikit-learn", () => {
  // PCA(n_components=3, svd_solver="full").fit(observations)
  test.each(Object.entries(fixture.cases))("%s", (_, expected) => {
    const fitted = fitComponents([tensorOf(expected)]);
    const scale = Math.max(...expected.mean.map(Math.abs), 1);
    expect(largestDifference(fitted.mean, expected.mean) / scale).toBeLessThan(1e-12);
    // The sign convention is scikit-learn's, so the components agree with their signs.
    expect(largestDifference(fitted.components, expected.components)).toBeLessThan(1e-6);
    expect(largestDifference(fitted.explainedVarianceRatio, expected.explained_variance_ratio)).toBeLessThan(1e-9);
    expected.explained_variance.forEach((variance, index) => {
      expect(fitted.explainedVariance[index] / variance).toBeCloseTo(1, 9);
    });
    const [batch, , height, width] = expected.dims;
    expect(fitted.count).toBe(batch * height * width);
  });

  test("an accumulator fed row by row gives the same basis", () => {
    const expected = fixture.cases["more pixels than channels"];
    const statistics = createCovariance(8);
    statistics.add(tensorOf(expected), 1);
    statistics.add(tensorOf(expected), 0);
    const fitted = fitComponents(statistics);
    expect(largestDifference(fitted.components, expected.components)).toBeLessThan(1e-6);
  });
});

describe("beyond the rank of the data", () => {
  test("two pixels have one component; the others are zero", () => {
    const fitted = fitComponents([{ dims: [1, 4, 1, 2], data: Float32Array.of(1, 3, 0, 0, 5, 1, 2, 2) }]);
    const length = Math.hypot(2, -4);
    // (2, 0, −4, 0) normalised, its largest entry made positive
    expect(largestDifference(fitted.components.subarray(0, 4), [-2 / length, 0, 4 / length, 0])).toBeLessThan(1e-14);
    expect(fitted.components.subarray(4).every((value) => value === 0)).toBe(true);
    expect(fitted.explainedVariance[0]).toBeCloseTo(10, 12);
    expect(Array.from(fitted.explainedVarianceRatio)).toEqual([expect.closeTo(1, 14), 0, 0]);
  });

  test.each([4, 200])("constant data of %i channels: zeros, no NaN", (channels) => {
    const fitted = fitComponents([{ dims: [1, channels, 2, 2], data: new Float32Array(channels * 4).fill(0.1) }]);
    for (const values of [fitted.components, fitted.explainedVariance, fitted.explainedVarianceRatio]) {
      expect(values.every((value) => value === 0)).toBe(true);
    }
  });
});

/** H D H with the Householder reflection H = I − 2 v vᵀ: eigenvalues D, eigenvectors H's rows. */
function reflected(eigenvalues: readonly number[]): { matrix: Float64Array; vector: (index: number) => number[] } {
  const size = eigenvalues.length;
  const length = Math.sqrt((size * (size + 1) * (2 * size + 1)) / 6);
  const v = Array.from({ length: size }, (_, index) => (index + 1) / length);
  const h = (i: number, j: number): number => (i === j ? 1 : 0) - 2 * v[i] * v[j];
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = i; j < size; j++) {
      const value = eigenvalues.reduce((sum, eigenvalue, k) => sum + h(i, k) * eigenvalue * h(k, j), 0);
      matrix[i * size + j] = value;
      matrix[j * size + i] = value;
    }
  }
  return { matrix, vector: (index) => Array.from({ length: size }, (_, column) => h(index, column)) };
}

describe("leading eigenpairs of a large matrix (closed form)", () => {
  const tail = (size: number): number[] => Array.from({ length: size - 4 }, (_, index) => 1 / (index + 2));

  test("distinct eigenvalues", () => {
    const { matrix, vector } = reflected([...tail(150), 5, 4, 3, 2]);
    const { values, vectors } = leadingEigenpairs(matrix, 150, 3);
    expect(largestDifference(values, [5, 4, 3])).toBeLessThan(1e-12);
    [146, 147, 148].forEach((index, component) => {
      const found = vectors.subarray(component * 150, (component + 1) * 150);
      const along = vector(index).reduce((sum, value, column) => sum + value * found[column], 0);
      expect(Math.abs(along)).toBeCloseTo(1, 12);
    });
  });

  test("repeated eigenvalues are found as often as they occur", () => {
    const { matrix } = reflected([...tail(150), 4, 4, 4, 4]);
    const { values } = leadingEigenpairs(matrix, 150, 3);
    expect(largestDifference(values, [4, 4, 4])).toBeLessThan(1e-12);
  });

  test("a spectrum without gaps", () => {
    const { matrix } = reflected(Array.from({ length: 120 }, (_, index) => 1 + index / 119));
    const { values } = leadingEigenpairs(matrix, 120, 3);
    expect(largestDifference(values, [2, 1 + 118 / 119, 1 + 117 / 119])).toBeLessThan(1e-12);
  });

  test("rank one", () => {
    const { matrix } = reflected([...Array.from({ length: 119 }, () => 0), 9]);
    const { values } = leadingEigenpairs(matrix, 120, 3);
    expect(largestDifference(values, [9, 0, 0])).toBeLessThan(1e-12);
  });
});

test("components are orthonormal, sorted, and of at most the whole variance", () => {
  const tensor = fc
    .tuple(fc.integer({ min: 3, max: 12 }), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 2, max: 5 }))
    .chain(([channels, height, width]) =>
      fc
        .array(fc.float({ min: -100, max: 100, noNaN: true }), {
          minLength: channels * height * width,
          maxLength: channels * height * width,
        })
        .map((values): FloatTensor => ({ dims: [1, channels, height, width], data: Float32Array.from(values) })),
    );
  fc.assert(
    fc.property(tensor, (features) => {
      const { components, explainedVariance, explainedVarianceRatio } = fitComponents([features]);
      const channels = features.dims[1];
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 3; j++) {
          let product = 0;
          for (let c = 0; c < channels; c++) product += components[i * channels + c] * components[j * channels + c];
          const length = i === j && explainedVariance[i] > 0 ? 1 : 0;
          expect(Math.abs(product - length)).toBeLessThan(1e-10);
        }
      }
      expect(explainedVariance[0]).toBeGreaterThanOrEqual(explainedVariance[1]);
      expect(explainedVariance[1]).toBeGreaterThanOrEqual(explainedVariance[2]);
      const sum = explainedVarianceRatio.reduce((total, ratio) => total + ratio, 0);
      expect(sum).toBeLessThan(1 + 1e-12);
      expect(sum).toBeGreaterThanOrEqual(0);
    }),
  );
});

test("refuses what cannot be fitted", () => {
  const twoPixels: FloatTensor = { dims: [1, 2, 1, 2], data: new Float32Array(4) };
  expect(() => fitComponents([])).toThrow(ArgumentError);
  expect(() => fitComponents([twoPixels], 3)).toThrow(/k must be an integer from 1 to the 2 channels, got 3/);
  expect(() => fitComponents([{ dims: [1, 3, 1, 1], data: new Float32Array(3) }])).toThrow(/at least two pixels/);
  expect(() => fitComponents([{ dims: [2, 2], data: new Float32Array(4) }])).toThrow(
    /\[batch, channels, height, width\]/,
  );
  expect(() => fitComponents([{ dims: [1, 2, 1, 2], data: Float32Array.of(1, NaN, 1, 1) }], 2)).toThrow(/not finite/);
});
