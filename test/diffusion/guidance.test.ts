import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { guide, rescaleNoiseCfg } from "../../src/diffusion/guidance.js";
import { ArgumentError } from "../../src/errors.js";
import { largestDifference } from "../numerics/largestDifference.js";

interface Fixture {
  dims: number[];
  unconditional: number[];
  conditional: number[];
  cases: { scale: number; guided: number[]; rescaled: Record<string, number[]> }[];
}

const fixture = JSON.parse(readFileSync(new URL("../fixtures/guidance.json", import.meta.url), "utf8")) as Fixture;
const { dims, cases } = fixture;
const unconditional = { dims, data: Float32Array.from(fixture.unconditional) };
const conditional = { dims, data: Float32Array.from(fixture.conditional) };

describe("guidance as StableDiffusionPipeline computes it", () => {
  // guided = unconditional + scale * (conditional - unconditional)
  it.each(cases)("scale $scale", ({ scale, guided }) => {
    const ours = guide(unconditional, conditional, scale);
    expect(ours.dims).toEqual(dims);
    expect(largestDifference(ours.data, guided)).toBeLessThan(2e-6);
  });

  // rescale_noise_cfg(guided, conditional, mix)
  it.each(cases)("rescale at scale $scale", ({ guided, rescaled }) => {
    for (const [mix, expected] of Object.entries(rescaled)) {
      const ours = rescaleNoiseCfg({ dims, data: Float32Array.from(guided) }, conditional, Number(mix));
      expect(largestDifference(ours.data, expected)).toBeLessThan(2e-6);
    }
  });
});

it("refuses outputs of two sizes", () => {
  const small = { dims: [1], data: new Float32Array(1) };
  expect(() => guide(small, conditional, 5)).toThrow(ArgumentError);
  expect(() => rescaleNoiseCfg(small, conditional, 0.5)).toThrow(ArgumentError);
});
