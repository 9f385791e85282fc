import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { withinBudget } from "../../src/caching/heuristics/search.js";
import { predictSeconds, predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import { loadCosts, saveCosts } from "../../src/caching/costs/costsFile.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { REUSE_RULES, defineReuseRule, hold, linear, quadratic, reuseRule } from "../../src/caching/run/reuseRule.js";
import { computedShare } from "../../src/caching/schedule/schedule.js";
import { loadSchedule, saveSchedule, scheduleCsv } from "../../src/caching/schedule/scheduleFile.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { peakCacheBytes } from "../../src/caching/run/executionPlan.js";
import { evaluationTimes } from "../../src/diffusion/evaluationTimes.js";
import type { EvaluationTime } from "../../src/diffusion/evaluationTimes.js";
import { pairedRatio } from "../../src/quality/pairedRatio.js";
import { psnr, relativeDistances } from "../../src/quality/distance.js";
import { profileOf as profileOfTrajectories, sideBySide } from "./madeUp.js";

/** One trajectory with these changes, a row a block. */
const profileOf = (rows: readonly (readonly number[])[]) => profileOfTrajectories([rows]);

const changes = fc.integer({ min: 1, max: 30 }).chain((steps) =>
  fc.array(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: steps, maxLength: steps }), {
    minLength: 1,
    maxLength: 5,
  }),
);
const delta = fc.double({ min: 0, max: 5, noNaN: true });

test("threshold: a cache misses at most δ, and computing later would miss more", () => {
  fc.assert(
    fc.property(changes, delta, (rows, d) => {
      const { blocks } = threshold(profileOf(rows), { delta: d });
      rows.forEach((row, index) => {
        const list = blocks[`down_blocks.0.attentions.${index}`];
        expect(list[0]).toBe(0);
        list.forEach((from, place) => {
          const next = list[place + 1] ?? row.length;
          const missed = (to: number) => row.slice(from + 1, to + 1).reduce((sum, value) => sum + value, 0);
          expect(missed(next - 1)).toBeLessThanOrEqual(d);
          if (next < row.length) expect(missed(next)).toBeGreaterThan(d);
        });
      });
    }),
  );
});

test("threshold: δ = 0 computes wherever there is change", () => {
  fc.assert(
    fc.property(changes, (rows) => {
      const { blocks } = threshold(profileOf(rows), { delta: 0 });
      rows.forEach((row, index) =>
        expect(blocks[`down_blocks.0.attentions.${index}`]).toEqual(
          [...row.keys()].filter((step) => step === 0 || row[step] > 0),
        ),
      );
    }),
  );
});

test("threshold: constant change c computes every ⌊δ/c⌋ + 1 steps", () => {
  // 0.25 and 0.75 have exact sums in binary
  expect(
    threshold(profileOf([Array<number>(12).fill(0.25)]), { delta: 0.75 }).blocks["down_blocks.0.attentions.0"],
  ).toEqual([0, 4, 8]);
});

test("uniform: every n-th step; 1 computes everywhere", () => {
  const profile = profileOf([Array<number>(7).fill(1)]);
  expect(uniform(profile, { interval: 3 }).blocks["down_blocks.0.attentions.0"]).toEqual([0, 3, 6]);
  expect(computedShare(uniform(profile, { interval: 1 }))).toBe(1);
  expect(() => uniform(profile, { interval: 0 })).toThrow(/interval: expected an integer of 1 or more, found 0/);
  expect(() => threshold(profile, { delta: 1, kinds: ["resnet"] })).toThrow(/no block of kind resnet/);
});

test("reuse rules are exact for polynomials of their degree, each by its own clock", () => {
  // strictly falling timesteps, strictly rising log-SNR, unevenly spaced
  const times = Array.from({ length: 61 }, (_, evaluation) => ({
    evaluation,
    timestep: 999 - (evaluation * (evaluation + 3)) / 6,
    logSnr: -4 + evaluation / 9 + (evaluation / 40) ** 2,
  }));
  const clocks = [
    ["hold", "evaluation"],
    ["linear", "evaluation"],
    ["quadratic", "evaluation"],
    ["linear-timestep", "timestep"],
    ["quadratic-timestep", "timestep"],
    ["linear-logsnr", "logSnr"],
    ["quadratic-logsnr", "logSnr"],
  ] as const;
  expect(clocks.map(([name]) => name)).toEqual(REUSE_RULES.map(({ name }) => name));
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 0, max: 40 }), { minLength: 3, maxLength: 3 }),
      fc.integer({ min: 0, max: 60 }),
      fc.tuple(...[1, 2, 3].map(() => fc.integer({ min: -5, max: 5 }))),
      (evaluations, wanted, [a, b, c]) => {
        for (const [name, clock] of clocks) {
          const rule = reuseRule(name);
          const degree = rule.history - 1;
          const origin = times[evaluations[0]][clock];
          const polynomial = ({ [clock]: time }: EvaluationTime) =>
            a + (degree > 0 ? b * (time - origin) : 0) + (degree > 1 ? c * (time - origin) ** 2 : 0);
          const kept = evaluations.slice(0, rule.history).map((evaluation) => times[evaluation]);
          const weights = rule.weights("any", kept, times[wanted]);
          const expected = polynomial(times[wanted]);
          const size = weights.reduce((sum, weight, index) => sum + Math.abs(weight * polynomial(kept[index])), 1);
          expect(
            Math.abs(weights.reduce((sum, weight, index) => sum + weight * polynomial(kept[index]), 0) - expected) /
              size,
          ).toBeLessThan(1e-9);
        }
      },
    ),
  );
});

test("a user's rule is known by its name once it is defined, and checked", () => {
  const half = defineReuseRule({ name: "half", history: 1, weights: () => [0.5] });
  expect(reuseRule("half")).toBe(half);
  const later = defineReuseRule({ ...half, history: 2 });
  expect(reuseRule("half")).toBe(later);
  expect(() => reuseRule("mine")).toThrow(
    /expected hold, linear, .*half, found "mine" — .*defineReuseRule; on the command line, of a worker too, --reuse \.\/mine\.mjs/,
  );
  expect(() => defineReuseRule({ ...half, name: "hold" })).toThrow(/another one than the library's own/);
  for (const name of ["", "a,b", "a/b", "mine.mjs"])
    expect(() => defineReuseRule({ ...half, name })).toThrow(/name: expected a text without/);
  expect(() => defineReuseRule({ ...half, history: 0 })).toThrow(/history: expected an integer of 1 or more, found 0/);
  expect(() => defineReuseRule({ ...half, weights: [0.5] as never })).toThrow(/weights: expected a function/);
});

test("a timestep that is evaluated twice counts once, by its newer value", () => {
  const at = (evaluation: number, timestep: number) => ({ evaluation, timestep, logSnr: -timestep });
  expect(reuseRule("linear-timestep").weights("any", [at(0, 900), at(1, 900)], at(2, 800))).toEqual([0, 1]);
  expect(reuseRule("quadratic-logsnr").weights("any", [at(0, 900), at(1, 800), at(2, 800)], at(3, 700))).toEqual([
    -1, 0, 2,
  ]);
});

test("log-SNR of Stable Diffusion's schedule, as diffusers has ᾱ", () => {
  const config = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };
  const times = evaluationTimes({ config, timesteps: [999, 500, 0, 499.5] });
  // diffusers 0.42: a = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod.double(); (a / (1 - a)).log()[[999, 500, 0]]
  [-5.36404843867982, -0.9627273430212698, 7.06939813238936].forEach((expected, index) =>
    expect(times[index].logSnr).toBeCloseTo(expected, 4),
  );
  expect(times[3].logSnr).toBeCloseTo(
    (times[1].logSnr + evaluationTimes({ config, timesteps: [499] })[0].logSnr) / 2,
    9,
  );
  expect(
    evaluationTimes({ config: { ...config, rescale_betas_zero_snr: true }, timesteps: [999] })[0].logSnr,
  ).toBeCloseTo(Math.log(2 ** -24), 5);
});

test("schedules are read back as written, and bad ones are refused by field", async () => {
  const folder = await mkdtemp(join(tmpdir(), "blockcache-schedule-"));
  try {
    const path = join(folder, "s.json");
    const schedule = threshold(profileOf([[0, 0.5, 0.5, 0.5]]), { delta: 0.5 });
    await saveSchedule(path, schedule);
    expect(await loadSchedule(path)).toEqual(schedule);
    expect(scheduleCsv(schedule)).toBe("block,0,1,2,3\ndown_blocks.0.attentions.0,1,0,1,0\n");
    for (const [list, message] of [
      [[1, 2], /starts with 0/],
      [[0, 2, 2], /ascending order/],
      [[0, 9], /from 0 to 3/],
      [[0, 1.5], /a schedule as/],
      [[], /starts with 0/],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...schedule, blocks: { x: list } }));
      await expect(loadSchedule(path)).rejects.toThrow(message);
    }
    await writeFile(path, "{}");
    await expect(loadSchedule(path)).rejects.toThrow(/s\.json: format/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

const computing = { "down_blocks.0.attentions.0": Float64Array.of(3, 4, 5), conv_in: Float64Array.of(1, 1, 1) };
const reusing = { "down_blocks.0.attentions.0": Float64Array.of(1, 1, 1), conv_in: Float64Array.of(0, 0, 0) };
const costs: Costs = {
  setting: { fingerprint: "sha256:0", device: "cpu", rows: 2, latent_size: [8, 8] },
  compute: computing,
  keep: computing,
  reuse: reusing,
  reuse2: reusing,
  reuse3: reusing,
  rest: Float64Array.of(1, 1, 1),
  text: Float64Array.of(0),
  network: sideBySide(["down_blocks.0.attentions.0", "conv_in"]),
};

test("costs: medians summed; δ for a speed-up is the smallest that reaches it", async () => {
  const profile = profileOf([[0, 0.5, 0.5, 0.5]]);
  // 4 evaluations of 4 + 1 + 1 seconds; two reuses save 3 each
  expect(predictSeconds(costs, threshold(profile, { delta: 0 }))).toBe(24);
  expect(predictSeconds(costs, threshold(profile, { delta: 0.5 }))).toBe(18);
  const found = withinBudget(heuristicNamed("threshold"), profile, { costs, speedup: 1.3 });
  expect(found.heuristic.delta).toBeCloseTo(0.5, 9);
  expect(predictSpeedup(costs, found)).toBeGreaterThanOrEqual(1.3);
  expect(() => withinBudget(heuristicNamed("threshold"), profile, { costs, speedup: 2 })).toThrow(/at most 1\.600/);
  const folder = await mkdtemp(join(tmpdir(), "blockcache-costs-"));
  await saveCosts(join(folder, "c.safetensors"), costs);
  expect(await loadCosts(join(folder, "c.safetensors"))).toEqual(costs);
  await rm(folder, { recursive: true });
});

test("costs: keeping, extrapolating and the text are counted, what nothing reads is not; all of it survives the file", async () => {
  const [block, upsampler] = ["down_blocks.0.attentions.0", "up_blocks.0.upsamplers.0"];
  const seconds = (attention: number, up: number) => ({
    [block]: Float64Array.of(attention),
    [upsampler]: Float64Array.of(up),
    conv_in: Float64Array.of(1),
  });
  const network = [
    { id: "conv_in", reads: ["sample"], merge_reads: [], bytes_per_row: 10 },
    { id: block, reads: ["conv_in", "text"], merge_reads: ["conv_in"], bytes_per_row: 20 },
    { id: upsampler, reads: [block], merge_reads: [], bytes_per_row: 40 },
    { id: "conv_out", reads: [upsampler], bytes_per_row: 0 },
  ];
  const full: Costs = {
    setting: costs.setting,
    compute: seconds(4, 2),
    keep: seconds(6, 3),
    reuse: seconds(1, 0),
    reuse2: seconds(1.25, 0.5),
    reuse3: seconds(1.375, 0.75),
    rest: Float64Array.of(1),
    text: Float64Array.of(0.5),
    network,
  };
  const planned = (evaluations: number, blocks: Schedule["blocks"]) => ({
    timesteps: Array.from({ length: evaluations }, (_, index) => index),
    blocks,
  });
  // 0.5 for the text; an evaluation is 1 + conv_in 1 + attention + upsampler 2: two that keep, two that reuse
  expect(predictSeconds(full, planned(4, { [block]: [0, 2] }))).toBe(0.5 + 4 * 4 + 2 * 6 + 2 * 1);
  // at the last one two values are there to extrapolate from
  expect(predictSeconds(full, planned(4, { [block]: [0, 2] }), linear)).toBe(0.5 + 4 * 4 + 2 * 6 + 2 * 1 + 0.25);
  expect(predictSeconds(full, planned(5, { [block]: [0, 1, 2] }), quadratic)).toBe(
    0.5 + 5 * 4 + 3 * 6 + 2 * 1 + 2 * 0.375,
  );
  // the last computed value is not kept where nothing reuses it
  expect(predictSeconds(full, planned(3, { [block]: [0, 2] }))).toBe(0.5 + 3 * 4 + 6 + 1 + 4);
  // with the upsampler reused nothing before it is read
  expect(predictSeconds(full, planned(3, { [upsampler]: [0] }))).toBe(0.5 + (1 + 1 + 4 + 3) + 1 + 1);
  expect(peakCacheBytes(network, planned(4, { [block]: [0, 2], [upsampler]: [0] }), 2, hold)).toBe(2 * (20 + 40));
  const folder = await mkdtemp(join(tmpdir(), "blockcache-costs-"));
  await saveCosts(join(folder, "c.safetensors"), full);
  expect(await loadCosts(join(folder, "c.safetensors"))).toEqual(full);
  await rm(folder, { recursive: true });
});

test("quality: closed forms", () => {
  expect(
    relativeDistances(
      { dims: [2, 2], data: Float32Array.of(3, 4, 0, 2) },
      { dims: [2, 2], data: Float32Array.of(3, 0, 0, 1) },
    ),
  ).toEqual([4 / 3, 1]);
  const grey = (value: number) => ({ width: 1, height: 1, rgb: new Uint8Array(3).fill(value) });
  expect(psnr(grey(10), grey(20))).toBeCloseTo(28.13, 2); // 10 log10(255² / 100)
  expect(psnr(grey(7), grey(7))).toBe(Infinity);
  const { ratio, low, high } = pairedRatio([1, 2, 3, 4], [2, 4, 6, 8]);
  expect([ratio, low, high]).toEqual([0.5, 0.5, 0.5]);
});
