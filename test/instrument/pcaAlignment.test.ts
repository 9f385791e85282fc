import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitComponents } from "../../src/instrument/features/pca.js";
import type { PrincipalComponents } from "../../src/instrument/features/pca.js";
import { alignComponents, procrustesRotation } from "../../src/instrument/features/procrustes.js";
import { fixture, largestDifference, tensorOf } from "./pcaFixture.js";

const K = 3;

function distance(a: PrincipalComponents, b: PrincipalComponents): number {
  return Math.hypot(...a.components.map((value, index) => value - b.components[index]));
}

function expectOrthogonal(rotation: Float64Array): void {
  for (let i = 0; i < K; i++) {
    for (let j = 0; j < K; j++) {
      let product = 0;
      for (let l = 0; l < K; l++) product += rotation[i * K + l] * rotation[j * K + l];
      expect(Math.abs(product - (i === j ? 1 : 0))).toBeLessThan(1e-12);
    }
  }
}

test("against scipy.linalg.orthogonal_procrustes", () => {
  const { reference, other, rotation, aligned, aligned_variance } = fixture.procrustes;
  const fittedReference = fitComponents([tensorOf(reference)]);
  const fittedOther = fitComponents([tensorOf(other)]);
  // orthogonal_procrustes(b.components_.T, a.components_.T)
  expect(largestDifference(procrustesRotation(fittedReference, fittedOther), rotation)).toBeLessThan(1e-9);
  const turned = alignComponents(fittedReference, fittedOther);
  expect(largestDifference(turned.components, aligned)).toBeLessThan(1e-9);
  expect(largestDifference(turned.explainedVariance, aligned_variance)).toBeLessThan(1e-9);
});

/** Fits of few pixels, so that ranks of 0 to 3 all occur. */
const fits = fc.tuple(fc.integer({ min: 3, max: 8 }), fc.integer({ min: 2, max: 8 })).chain(([channels, pixels]) => {
  const length = channels * pixels;
  const value = fc.oneof(fc.constant(0), fc.integer({ min: -3, max: 3 }), fc.float({ min: -5, max: 5, noNaN: true }));
  const fit = fc
    .array(value, { minLength: length, maxLength: length })
    .map((values) => fitComponents([{ dims: [1, channels, 1, pixels], data: Float32Array.from(values) }], K));
  return fc.tuple(fit, fit);
});

test("alignment is a rotation, never increases the distance, and keeps the total variance", () => {
  fc.assert(
    fc.property(fits, ([reference, other]) => {
      expectOrthogonal(procrustesRotation(reference, other));
      const turned = alignComponents(reference, other);
      expect(distance(reference, turned)).toBeLessThanOrEqual(distance(reference, other) + 1e-10);
      const total = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);
      expect(total(turned.explainedVariance)).toBeCloseTo(total(other.explainedVariance), 8);
    }),
    { numRuns: 300 },
  );
});

describe("closed forms", () => {
  const unit = (...columns: number[]): PrincipalComponents => {
    const components = new Float64Array(K * 6);
    columns.forEach((column, row) => {
      if (column >= 0) components[row * 6 + column] = 1;
    });
    const explainedVariance = Float64Array.from(columns, (column, row) => (column >= 0 ? 3 - row : 0));
    return {
      mean: new Float64Array(6),
      components,
      explainedVariance,
      explainedVarianceRatio: explainedVariance.map((v) => v / 6),
      count: 9,
    };
  };

  test("swapped and reflected axes come back", () => {
    const other = unit(1, 2, 0);
    other.components[2 * 6] = -1;
    expect(largestDifference(alignComponents(unit(0, 1, 2), other).components, unit(0, 1, 2).components)).toBeLessThan(
      1e-12,
    );
  });

  test("orthogonal to the reference, or without any component: nothing turns", () => {
    for (const other of [unit(3, 4, 5), unit(-1, -1, -1)]) {
      expect(largestDifference(procrustesRotation(unit(0, 1, 2), other), [1, 0, 0, 0, 1, 0, 0, 0, 1])).toBeLessThan(
        1e-12,
      );
    }
  });

  test("a missing third component leaves the shared ones alone", () => {
    expect(
      largestDifference(alignComponents(unit(0, 1, 2), unit(0, 1, -1)).components, unit(0, 1, -1).components),
    ).toBeLessThan(1e-12);
  });

  test("refuses components of another block", () => {
    expect(() => alignComponents(unit(0, 1, 2), { ...unit(0, 1, 2), mean: new Float64Array(5) })).toThrow(
      /fit both on the same block/,
    );
  });
});
