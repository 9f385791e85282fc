import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { psnr, relativeDistances } from "../../src/quality/distance.js";
import { onParetoFront } from "../../src/quality/dominance.js";
import { plainAtLatency } from "../../src/quality/equalLatency.js";
import { pairedRatio } from "../../src/quality/pairedRatio.js";
import { ssim } from "../../src/quality/ssim.js";

// test/fixtures/quality.py
const cases = JSON.parse(readFileSync("test/fixtures/quality.json", "utf8")) as {
  name: string;
  width: number;
  height: number;
  image: number[];
  reference: number[];
  ssim: number;
  psnr: number;
}[];

describe("ssim and psnr", () => {
  test.each(cases.map((each) => [each.name, each] as const))(
    "%s: as scikit-image",
    (_, { width, height, image, reference, ssim: structural, psnr: peak }) => {
      const [a, b] = [image, reference].map((rgb) => ({ width, height, rgb: Uint8Array.from(rgb) }));
      expect(ssim(a, b)).toBeCloseTo(structural, 6);
      expect(psnr(a, b)).toBeCloseTo(peak, 9);
      expect(ssim(a, a)).toBe(1);
    },
  );

  it("refuse what they cannot compare", () => {
    const picture = (width: number) => ({ width, height: 12, rgb: new Uint8Array(3 * 12 * width) });
    expect(() => ssim(picture(12), picture(13))).toThrow(/expected 12×12 pixels, found 13×12/);
    expect(() => psnr(picture(12), picture(13))).toThrow(/expected 12×12 pixels, found 13×12/);
    expect(() => ssim(picture(10), picture(10))).toThrow(/11 pixels or more/);
  });
});

test("relative distance: what is zero in both is at none, what is zero in the reference alone infinitely far", () => {
  const rows = (...data: number[]) => ({ dims: [3, 2], data: Float32Array.from(data) });
  expect(relativeDistances(rows(0, 0, 3, 4, 1, 0), rows(0, 0, 0, 5, 0, 0))).toEqual([0, Math.sqrt(10) / 5, Infinity]);
});

describe("plain runs at a latency between two of them", () => {
  it("lie on the power law that the runs follow", () => {
    // distance = exp(1 − 2 · latency), and three times so, exactly log-linear
    const law = (latency: number): number[] => [Math.exp(1 - 2 * latency), 3 * Math.exp(1 - 2 * latency)];
    const runs = [2, 1, 4].map((latency) => ({ latency, distances: law(latency) }));
    for (const latency of [1, 1.3, 2, 3.9, 4]) {
      plainAtLatency(runs, latency)?.forEach((distance, row) => expect(distance).toBeCloseTo(law(latency)[row], 12));
    }
    expect(plainAtLatency(runs, 0.99)).toBeUndefined();
    expect(plainAtLatency(runs, 4.01)).toBeUndefined();
    expect(plainAtLatency([], 1)).toBeUndefined();
  });

  it("are never outside of their neighbours", () => {
    const distance = fc.double({ min: 0, max: 10, noNaN: true });
    fc.assert(
      fc.property(distance, distance, fc.double({ min: 1, max: 2, noNaN: true }), (below, above, latency) => {
        const [between] = plainAtLatency(
          [
            { latency: 1, distances: [below] },
            { latency: 2, distances: [above] },
          ],
          latency,
        ) ?? [NaN];
        expect(between).toBeGreaterThanOrEqual(Math.min(below, above) * (1 - 1e-12));
        expect(between).toBeLessThanOrEqual(Math.max(below, above) * (1 + 1e-12));
      }),
    );
  });
});

describe("the Pareto front", () => {
  it("has what nothing dominates, against the definition", () => {
    const number = fc.integer({ min: 0, max: 6 });
    fc.assert(
      fc.property(fc.array(fc.record({ cost: number, error: number }), { maxLength: 12 }), (options) => {
        const dominated = options.map((one) =>
          options.some(
            (other) =>
              other.cost <= one.cost && other.error <= one.error && (other.cost < one.cost || other.error < one.error),
          ),
        );
        expect(onParetoFront(options)).toEqual(dominated.map((is) => !is));
      }),
    );
  });
});

describe("pairedRatio", () => {
  it("of a constant ratio has an interval of no width", () => {
    const under = [1, 2, 5, 7];
    const { ratio, low, high } = pairedRatio(
      under.map((value) => 0.25 * value),
      under,
    );
    for (const value of [ratio, low, high]) expect(value).toBeCloseTo(0.25, 12);
  });

  it("has the percentiles of the mean of coin flips", () => {
    // 100 pairs, half of them 0 and half 2, over ones: the resampled mean is Binomial(100, ½) / 50,
    // whose 2.5 and 97.5 % points are 40 / 50 and 60 / 50 (scipy.stats.binom.ppf([.025, .975], 100, .5) = [40, 60])
    const over = Array.from({ length: 100 }, (_, index) => 2 * (index % 2));
    const { ratio, low, high } = pairedRatio(
      over,
      over.map(() => 1),
    );
    expect(ratio).toBe(1);
    expect(Math.abs(low - 0.8)).toBeLessThanOrEqual(0.02);
    expect(Math.abs(high - 1.2)).toBeLessThanOrEqual(0.02);
  });
});
