import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MersenneTwister } from "../../src/numerics/mersenneTwister.js";
import { TorchGenerator, randnTensor } from "../../src/numerics/noise.js";
import { ArgumentError } from "../../src/errors.js";
import { largestDifference } from "./largestDifference.js";

interface Fixture {
  sequences: { seed: string; draws: { kind: "rand" | "randn"; dims: number[]; values: number[] }[] }[];
  batches: { seeds: number[]; list: boolean; dims: number[]; values: number[] }[];
}

// Made by test/fixtures/noise.py: torch.rand / torch.randn(dims, generator=torch.Generator("cpu").manual_seed(seed)).
const fixture = JSON.parse(readFileSync(new URL("../fixtures/noise.json", import.meta.url), "utf8")) as Fixture;

describe("TorchGenerator", () => {
  for (const { seed, draws } of fixture.sequences) {
    const shown = draws.map(({ kind, dims }) => `${kind}[${dims.join("×")}]`).join(" ");
    it(`seed ${seed}: ${shown}`, () => {
      const generator = new TorchGenerator(BigInt(seed));
      for (const { kind, dims, values } of draws) {
        const drawn = generator[kind](dims);
        expect(drawn.dims).toEqual(dims);
        if (kind === "rand") expect([...drawn.data]).toEqual(values);
        else expect(largestDifference(drawn.data, values)).toBeLessThan(1e-6);
      }
    });
  }

  it("draws nothing for an empty tensor", () => {
    const generator = new TorchGenerator(3);
    expect(generator.randn([0, 4]).data).toHaveLength(0);
    expect(generator.rand([4])).toEqual(new TorchGenerator(3).rand([4]));
  });

  it("uses the low 32 bits of any seed", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 64n - 1n), (seed) => {
        expect(new TorchGenerator(seed).randn([20])).toEqual(new TorchGenerator(seed & 0xffffffffn).randn([20]));
      }),
    );
  });

  it.each([-1, 1.5, Number.NaN, 2 ** 60, 2n ** 64n])("refuses the seed %s", (seed) => {
    expect(() => new TorchGenerator(seed)).toThrow(ArgumentError);
  });
});

describe("MersenneTwister", () => {
  it("gives the 10000th number that the C++ standard states for the default seed 5489", () => {
    // ISO C++ [rand.predef]: the 10000th consecutive invocation of mt19937 is 4123659995.
    const engine = new MersenneTwister(5489);
    for (let i = 1; i < 10000; i += 1) engine.uint32();
    expect(engine.uint32()).toBe(4123659995);
  });
});

describe("randnTensor", () => {
  // diffusers.utils.torch_utils.randn_tensor(dims, generator=generator or list of generators)
  for (const { seeds, list, dims, values } of fixture.batches) {
    it(`${list ? "a list of" : "a single one of"} ${seeds.length} for [${dims.join(", ")}]`, () => {
      const generators = seeds.map((seed) => new TorchGenerator(seed));
      const noise = randnTensor(dims, list ? generators : generators[0]);
      expect(noise.dims).toEqual(dims);
      expect(largestDifference(noise.data, values)).toBeLessThan(1e-6);
    });
  }

  it("refuses a list of another length than the batch", () => {
    expect(() => randnTensor([3, 4], [new TorchGenerator(0), new TorchGenerator(1)])).toThrow(ArgumentError);
  });
});
