import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { clipNorm, cosineRate } from "../../src/caching/adjustment/adam.js";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { distilAdjustment } from "../../src/caching/adjustment/distil.js";
import { LOSSES } from "../../src/caching/adjustment/distillationLoss.js";
import type { DistilOptions } from "../../src/caching/adjustment/distil.js";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { scheduleSampling } from "../../src/caching/schedule/scheduleSampling.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { InterruptedError } from "../../src/errors.js";
import { relativeDistances } from "../../src/quality/distance.js";
import { finalLatents } from "../../src/study/finalLatents.js";

const BLOCK = "down_blocks.0.attentions.0";
const CHANNELS = 16;
const PROMPTS = ["red apple", "cat face"];
const folder = mkdtempSync(join(tmpdir(), "distil-"));

let pipeline: Pipeline;
let everySecond: Schedule;
let once: Schedule;
let start: Adjustment;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  everySecond = await regularSchedule(pipeline, { steps: 5, solver: "ddim", interval: 2, kinds: ["transformer"] });
  once = { ...everySecond, blocks: { [BLOCK]: [0, 1, 3, 4] } };
  start = await fitAdjustment(pipeline, everySecond, { prompts: PROMPTS });
});
afterAll(() => pipeline.dispose());

const distil = (schedule: Schedule, from: Adjustment, options: Partial<DistilOptions> = {}): Promise<Adjustment> =>
  distilAdjustment(pipeline, schedule, from, { prompts: PROMPTS, ...options });

const losses = ({ fit }: Adjustment): number[] => fit.losses as number[];

describe("distillation", () => {
  test.each(LOSSES)("moves every coefficient against finite differences of the loss: %s", async (loss) => {
    const from = await fitAdjustment(pipeline, once, { prompts: PROMPTS });
    const { terms } = from.blocks[BLOCK];
    const moved = (term: "scale" | "shift", channel: number, by: number): Adjustment => {
      const table = (terms[term] ?? new Float32Array()).slice();
      table[2 * CHANNELS + channel] += by;
      return { ...from, blocks: { [BLOCK]: { channels: CHANNELS, terms: { ...terms, [term]: table } } } };
    };
    const rate = 1e-4;
    const after = (await distil(once, from, { loss, iterations: 1, rate })).blocks[BLOCK].terms;
    for (const term of ["scale", "shift"] as const) {
      for (const channel of [2, 11]) {
        const at = async (by: number): Promise<number> =>
          losses(await distil(once, moved(term, channel, by), { loss, iterations: 1 }))[0];
        const slope = (await at(0.05)) - (await at(-0.05));
        const index = 2 * CHANNELS + channel;
        // Adam's first step is the rate, against the gradient's sign.
        const step = (after[term]?.[index] ?? 0) - (terms[term]?.[index] ?? 0);
        expect(step / rate).toBeCloseTo(-Math.sign(slope), 1);
      }
    }
  });

  test.each([
    { loss: "output", parameters: "table" },
    { loss: "blocks", parameters: "table" },
    { loss: "latents", parameters: "table" },
    { loss: "output", parameters: "time-embedding" },
  ] as const)("lessens the loss, $loss by $parameters", async (options) => {
    const trained = await distil(everySecond, start, { ...options, iterations: 12, rate: 0.01 });
    expect(losses(trained)).toHaveLength(12);
    // Each round has other noise: the loss on that of the first one, before and after.
    const { loss } = options;
    const [after] = losses(await distil(everySecond, trained, { loss, iterations: 1 }));
    expect(after).toBeLessThan(0.97 * losses(trained)[0]);
  });

  test("the linear layer on the timestep's embedding begins at the table", async () => {
    const { blocks } = await distil(everySecond, start, { parameters: "time-embedding", iterations: 1, rate: 1e-12 });
    for (const [id, { terms }] of Object.entries(start.blocks))
      terms.scale?.forEach((value, index) => expect(blocks[id].terms.scale?.[index]).toBeCloseTo(value, 4));
  });

  test("goes on to the same values after an interruption", async () => {
    const whole = await distil(everySecond, start, { iterations: 4, batch: 1 });
    const file = join(folder, "state.safetensors");
    const controller = new AbortController();
    const interrupted = distil(everySecond, start, {
      ...{ iterations: 4, batch: 1, file, signal: controller.signal },
      onProgress: (done) => (done === 2 ? controller.abort() : undefined),
    });
    await expect(interrupted).rejects.toBeInstanceOf(InterruptedError);
    expect(await distil(everySecond, start, { iterations: 4, batch: 1, file })).toEqual(whole);
    await expect(distil(everySecond, start, { iterations: 5, batch: 1, file })).rejects.toThrow(/with other options/);
  });

  describe("with prompts held out", () => {
    const prompts = [...PROMPTS, "rocket", "sunflower"];

    test("gives back the start where training harms them", async () => {
      const { blocks, fit } = await distil(everySecond, start, { prompts, iterations: 2, rate: 30 });
      const checks = fit.checks as { iteration: number; distance: number }[];
      expect(checks.map(({ iteration }) => iteration)).toEqual([0, 2]);
      expect(checks[1].distance).toBeGreaterThan(checks[0].distance);
      for (const [id, { terms }] of Object.entries(start.blocks))
        terms.scale?.forEach((value, index) => expect(blocks[id].terms.scale?.[index]).toBeCloseTo(value, 6));
    });

    test("gives back what came nearest to the plain run on them", async () => {
      const adjustment = await distil(everySecond, start, { prompts, iterations: 4, rate: 0.01 });
      const trajectories = [{ prompt: "sunflower", seed: 0 }];
      const sampling = scheduleSampling(everySecond);
      const plain = await finalLatents(pipeline, trajectories, sampling);
      const hooks = [cachedRun(everySecond, { adjustment })];
      const [distance] = relativeDistances(await finalLatents(pipeline, trajectories, { ...sampling, hooks }), plain);
      const checks = (adjustment.fit.checks as { distance: number }[]).map((check) => check.distance);
      expect(Math.min(...checks)).toBeCloseTo(distance, 6);
    });
  });

  test("options that make no sense are refused", async () => {
    await expect(distil(once, start)).rejects.toThrow(/fitted for another schedule/);
    await expect(distil(everySecond, start, { rate: 0 })).rejects.toThrow(/rate: expected a number above 0/);
    await expect(distil(everySecond, start, { iterations: 0 })).rejects.toThrow(/iterations: expected an integer/);
    const input = await fitAdjustment(pipeline, once, { prompts: PROMPTS, terms: ["scale", "input_change", "shift"] });
    await expect(distil(once, input, { loss: "latents" })).rejects.toThrow(/the term input_change is not supported/);
    await expect(distil(everySecond, start, { prompts: [] })).rejects.toThrow(/prompts, seeds: expected at least one/);
  });
});

test("the rate falls from the first step as half a cosine", () => {
  expect(cosineRate(0.1, 1, 10)).toBeCloseTo(0.1, 12);
  expect(cosineRate(0.1, 6, 10)).toBeCloseTo(0.05, 12);
  expect(cosineRate(0.1, 11, 10)).toBeCloseTo(0, 12);
});

test("gradients are shortened together", () => {
  const gradients = [Float64Array.of(3, 0), Float64Array.of(4)];
  expect(clipNorm(gradients, 1)).toBeCloseTo(5, 12);
  expect([...gradients[0], ...gradients[1]]).toEqual(
    [0.6000000000000001, 0, 0.8].map((value) => expect.closeTo(value, 12)),
  );
  expect(clipNorm(gradients, 2)).toBeCloseTo(1, 12);
  expect(gradients[1][0]).toBeCloseTo(0.8, 12);
});
