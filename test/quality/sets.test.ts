import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { writeSafetensors } from "../../src/files/safetensors.js";
import {
  loadFeatures,
  loadFeaturesOrStatistics,
  saveFeatures,
  saveFeatureStatistics,
} from "../../src/quality/features/featureFile.js";
import { selectRows } from "../../src/quality/features/features.js";
import type { Features } from "../../src/quality/features/features.js";
import { metricNamed } from "../../src/quality/metrics.js";
import { featureStatistics, frechetDistance } from "../../src/quality/sets/frechet.js";
import { clipDiscrepancy, kernelInceptionDistance } from "../../src/quality/sets/kernelDistance.js";
import { clipScore } from "../../src/quality/sets/clipScore.js";
import { differenceOf, intervalOf } from "../../src/quality/sets/measured.js";
import { featuresFrom, fixture, worst } from "./featureFixture.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-sets-"));
afterAll(() => rmSync(folder, { recursive: true }));

const relative = (found: number, expected: number): number => Math.abs(found - expected) / Math.abs(expected);

for (const each of fixture.sets) {
  const [n, m, width] = each.dims;
  const [a, b] = [featuresFrom(each.a, n, width), featuresFrom(each.b, m, width)];
  const options = { groups: each.groups, resamples: fixture.resamples };

  test(`${each.name}: Fréchet distance, its interval and its extrapolation equal numpy's and scipy's`, () => {
    const found = frechetDistance(a, b, options);
    expect(relative(found.value, each.frechet)).toBeLessThan(1e-6);
    const { low, high } = intervalOf(found);
    expect(worst([low, high], each.frechet_interval)).toBeLessThan(1e-6);
    if (each.frechet_unbiased === null) expect(found.unbiased).toBeUndefined();
    else expect(relative(found.unbiased ?? NaN, each.frechet_unbiased)).toBeLessThan(1e-6);
  });

  test(`${each.name}: Fréchet distance to statistics that were kept`, async () => {
    const path = join(folder, "statistics.safetensors");
    await saveFeatureStatistics(path, featureStatistics(b));
    const { value } = frechetDistance(a, await loadFeaturesOrStatistics(path), { resamples: 0 });
    expect(relative(value, each.frechet_statistics)).toBeLessThan(1e-6);
  });

  test(`${each.name}: KID and CMMD equal numpy's`, () => {
    const [kid, cmmd] = [kernelInceptionDistance(a, b, options), clipDiscrepancy(a, b, options)];
    expect(relative(kid.value, each.kid)).toBeLessThan(1e-6);
    expect(relative(cmmd.value, each.cmmd)).toBeLessThan(1e-6);
    expect(relative(cmmd.unbiased ?? NaN, each.cmmd_unbiased)).toBeLessThan(1e-6);
    for (const [measured, expected] of [
      [kid, each.kid_interval],
      [cmmd, each.cmmd_interval],
    ] as const) {
      const { low, high } = intervalOf(measured);
      expect(worst([low, high], expected)).toBeLessThan(1e-6);
    }
  });
}

test("KID's interval leaves out resamplings of one picture alone; two pictures are too few for one", () => {
  const set = (...values: number[]): Features => ({
    pictures: values.length,
    width: 1,
    data: Float64Array.from(values),
  });
  const three = kernelInceptionDistance(set(0, 1, 2), set(3, 4, 6, 8));
  expect(three.replicates.length).toBeLessThan(400);
  const { low, high } = intervalOf(three);
  expect(low).toBeLessThan(three.value);
  expect(high).toBeGreaterThan(three.value);
  const two = kernelInceptionDistance(set(0, 1), set(3, 4));
  expect(two.replicates).toEqual([]);
  expect(intervalOf(two)).toEqual({ low: NaN, high: NaN });
});

const sets = fc
  .integer({ min: 3, max: 12 })
  .chain((pictures) =>
    fc
      .array(fc.double({ min: -4, max: 4, noNaN: true }), { minLength: 4 * pictures, maxLength: 4 * pictures })
      .map((values): Features => ({ pictures, width: 4, data: Float64Array.from(values) })),
  );

test("a set is at no distance from itself, in any order; Fréchet distance sees how far a set was moved", () => {
  fc.assert(
    fc.property(sets, fc.double({ min: -3, max: 3, noNaN: true }), (set, move) => {
      const rows = [...Array(set.pictures).keys()].reverse();
      const scale = 1 + set.data.reduce((sum, value) => sum + value * value, 0);
      expect(Math.abs(frechetDistance(set, selectRows(set, rows), { resamples: 0 }).value)).toBeLessThan(1e-7 * scale);
      const moved = { ...set, data: set.data.map((value) => value + move) };
      const { value } = frechetDistance(moved, set, { resamples: 0 });
      expect(Math.abs(value - 4 * move * move)).toBeLessThan(1e-7 * scale);
    }),
  );
});

test("differences of paired sets: a set less itself is 0, and the interval of a constant gain is the gain", () => {
  const { a, dims, groups } = fixture.sets[0];
  const texts = featuresFrom(a, dims[0], dims[2]);
  const perfect = clipScore(texts, texts, { groups, resamples: 50 });
  const opposed = clipScore({ ...texts, data: texts.data.map((value) => -value) }, texts, { groups, resamples: 50 });
  const { value, low, high } = differenceOf(perfect, opposed);
  for (const each of [value, low, high]) expect(each).toBeCloseTo(2, 12);
  const same = differenceOf(perfect, perfect);
  expect([same.value, same.low, same.high]).toEqual([0, 0, 0]);
});

test("feature files: what was written comes back, float64 of Python too; what is damaged or foreign is refused", async () => {
  const set: Features = { pictures: 2, width: 3, data: Float64Array.of(1, 2, 3, 4, 5, 6.5), extractor: "x sha256:1" };
  const path = join(folder, "set.safetensors");
  await saveFeatures(path, set, ["a.png", "b.png"]);
  expect(await loadFeatures(path)).toEqual(set);
  const precise = Float64Array.of(0.1, 0.2);
  await writeSafetensors(path, new Map([["features", { dtype: "F64", dims: [2, 1], data: precise }]]));
  expect((await loadFeatures(path)).data).toEqual(precise);
  await writeSafetensors(
    path,
    new Map([["features", { dtype: "F32", dims: [2, 2], data: Float32Array.of(1, 2, 3, NaN) }]]),
  );
  await expect(loadFeatures(path)).rejects.toThrow(/features: expected finite numbers, found NaN at picture 1/);
  await writeSafetensors(path, new Map([["latents", { dtype: "F32", dims: [2], data: Float32Array.of(1, 2) }]]));
  await expect(loadFeaturesOrStatistics(path)).rejects.toThrow(
    /features: expected \[pictures, width\], found no such tensor/,
  );
});

test("sets that do not go together are refused", () => {
  const set = (pictures: number, width: number, extractor?: string): Features => ({
    pictures,
    width,
    extractor,
    data: new Float64Array(pictures * width),
  });
  expect(() => frechetDistance(set(3, 2), set(3, 4))).toThrow(/two sets of the same width, found 2 and 4/);
  expect(() => frechetDistance(set(3, 2, "a"), set(3, 2, "b"))).toThrow(/the same extractor, found a and b/);
  expect(() => kernelInceptionDistance(set(1, 2), set(3, 2))).toThrow(/sets of 2 pictures or more, found one of 1/);
  expect(() => clipScore(set(3, 2), set(2, 2))).toThrow(/a text embedding of width 2 for each of 3 pictures/);
  const kid = metricNamed("kid");
  if (kid.of !== "set") throw new Error("kid is of a set");
  expect(() => kid.measure({ features: set(3, 2) })).toThrow(
    /kid: expected features of reference pictures, found none/,
  );
  expect(() => kid.measure({ features: set(3, 2), reference: featureStatistics(set(3, 2)) })).toThrow(
    /mean and covariance only/,
  );
  expect(() => metricNamed("fid")).toThrow(
    /expected frechet, kid, cmmd, clip-score, latent, psnr, ssim, lpips, found "fid"/,
  );
});
