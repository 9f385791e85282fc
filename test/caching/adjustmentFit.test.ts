import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitValidated } from "../../src/caching/adjustment/crossValidation.js";
import { fitRidge, squaredError, squaredTarget } from "../../src/caching/adjustment/leastSquares.js";
import { addMaps, emptyMoments, mergeMoments, poolChannels } from "../../src/caching/adjustment/moments.js";
import type { Moments } from "../../src/caching/adjustment/moments.js";

// test/fixtures/adjustment.py: numpy.linalg.lstsq
const fixture = JSON.parse(readFileSync("test/fixtures/adjustment.json", "utf8")) as {
  dims: [number, number, number];
  scale: number[];
  change: number[];
  target: number[];
  cases: { terms: string[]; strength: number; coefficients: number[][]; squared_error: number }[];
};
const [ROWS, CHANNELS] = fixture.dims;
const TERMS = ["scale", "change", "shift"];
const START = [1, 0, 0];

function momentsOf(rows: readonly number[]): Moments {
  const moments = emptyMoments(4, CHANNELS);
  const maps = [fixture.scale, fixture.change, fixture.target].map((values) => Float32Array.from(values));
  addMaps(moments, [maps[0], maps[1], 1, maps[2]], {
    rows: ROWS,
    width: CHANNELS,
    firstChannel: new Map(rows.map((row) => [row, 0])),
  });
  return moments;
}

const everyRow = [...Array(ROWS).keys()];

describe("a fit from running sums is numpy's least squares", () => {
  test.each(fixture.cases)("$terms, ridge $strength", ({ terms, strength, coefficients, squared_error }) => {
    const moments = momentsOf(everyRow);
    const fitted = TERMS.flatMap((term, index) => (terms.includes(term) ? [index] : []));
    const [found] = fitRidge({ moments, start: START, fitted }, [strength]);
    coefficients.flat().forEach((value, index) => expect(found[index]).toBeCloseTo(value, 9));
    expect(squaredError(moments, found) / squared_error).toBeCloseTo(1, 9);
  });

  test("Σy² is the target's", () => {
    const size = Float32Array.from(fixture.target).reduce((sum, value) => sum + value ** 2, 0);
    expect(squaredTarget(momentsOf(everyRow)) / size).toBeCloseTo(1, 12);
  });
});

const maps = fc.record({
  x: fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 24, maxLength: 24 }),
  y: fc.array(fc.float({ min: -4, max: 4, noNaN: true }), { minLength: 24, maxLength: 24 }),
});

/** 4 rows of 2 channels of 3 pixels */
function sumsOf({ x, y }: { x: number[]; y: number[] }, rows: readonly number[]): Moments {
  const moments = emptyMoments(3, 2);
  addMaps(moments, [Float32Array.from(x), 1, Float32Array.from(y)], {
    rows: 4,
    width: 2,
    firstChannel: new Map(rows.map((row) => [row, 0])),
  });
  return moments;
}

describe("running sums", () => {
  test("those of parts make those of the whole", () => {
    fc.assert(
      fc.property(maps, fc.subarray([0, 1, 2, 3]), (values, some) => {
        const others = [0, 1, 2, 3].filter((row) => !some.includes(row));
        const merged = mergeMoments([sumsOf(values, some), sumsOf(values, others)]);
        sumsOf(values, [0, 1, 2, 3]).products.forEach((product, index) =>
          expect(merged.products[index]).toBeCloseTo(product, 6),
        );
      }),
    );
  });

  test("halves apart are sums of channels of their own", () => {
    fc.assert(
      fc.property(maps, ({ x, y }) => {
        const apart = emptyMoments(3, 4);
        addMaps(apart, [Float32Array.from(x), 1, Float32Array.from(y)], {
          rows: 4,
          width: 2,
          firstChannel: new Map([
            [0, 0],
            [1, 0],
            [2, 2],
            [3, 2],
          ]),
        });
        const halves = [...sumsOf({ x, y }, [0, 1]).products, ...sumsOf({ x, y }, [2, 3]).products];
        expect([...apart.products]).toEqual(halves);
      }),
    );
  });

  test("pooled channels have the products of all of them", () => {
    fc.assert(
      fc.property(maps, (values) => {
        const moments = sumsOf(values, [0, 1, 2, 3]);
        const pooled = poolChannels(moments);
        expect(pooled.products[0]).toBeCloseTo(
          values.x.reduce((sum, value) => sum + Math.fround(value) ** 2, 0),
          6,
        );
        expect(squaredTarget(pooled)).toBeCloseTo(squaredTarget(moments), 6);
      }),
    );
  });
});

describe("a ridge chosen on held-out prompts", () => {
  const folds = everyRow.map((row) => momentsOf([row]));

  test("recovers what the maps were made with, and says what it did", () => {
    const { coefficients, ridge, errors } = fitValidated(folds, { start: START, fitted: [0, 1, 2] });
    expect(ridge).not.toBeNull();
    expect(coefficients[0]).toBeCloseTo(0.8, 1);
    expect(errors.fitted).toBeLessThanOrEqual(errors.held_out);
    expect(errors.held_out).toBeLessThan(errors.before);
  });

  test("leaves out what does not help on prompts that it has not seen", () => {
    fc.assert(
      fc.property(maps, ({ x, y }) => {
        const each = [0, 1, 2, 3].map((row) => sumsOf({ x, y }, [row]));
        const { coefficients, ridge, errors } = fitValidated(each, { start: [1, 0], fitted: [0, 1] });
        expect(errors.held_out).toBeLessThanOrEqual(errors.before);
        if (ridge === null) expect([...coefficients]).toEqual([1, 0, 1, 0]);
      }),
    );
  });

  test("leaves a perfect stand-in as it is", () => {
    fc.assert(
      fc.property(maps, ({ x }) => {
        const each = [0, 1, 2, 3].map((row) => sumsOf({ x, y: x }, [row]));
        expect(fitValidated(each, { start: [1, 0], fitted: [0, 1] }).ridge).toBeNull();
      }),
    );
  });

  test("an unused regressor and a constant map do not upset it", () => {
    const constant = { x: Array<number>(24).fill(2), y: Array<number>(24).fill(3) };
    const [found] = fitRidge({ moments: sumsOf(constant, [0, 1, 2, 3]), start: [1, 0], fitted: [0, 1] }, [0]);
    // 2 scale + shift = 3 has many solutions: any of them is right.
    expect(2 * found[0] + found[1]).toBeCloseTo(3, 9);
  });
});
