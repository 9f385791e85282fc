/** Live cells outside of Jupyter: what they sample, what they keep, and that they stop. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { cachedRun, generate, live, loadPipeline, profileChange, quadratic, threshold } from "../../src/index.js";
import type { Pipeline, Profile, SamplingHook } from "../../src/index.js";

const STEPS = 7;
const run = { prompt: "a cat", seed: 3, steps: STEPS, solver: "ddim" as const };

let pipeline: Pipeline;
let profile: Profile;
beforeAll(async () => {
  vi.spyOn(process.stdout, "write").mockReturnValue(true);
  pipeline = await loadPipeline(join(fileURLToPath(new URL("../fixtures/models", import.meta.url)), "plain-mid"));
  profile = await profileChange(pipeline, { prompts: ["a dog"], seeds: [0], steps: STEPS, solver: "ddim" });
});
afterAll(async () => {
  await pipeline.dispose();
  vi.restoreAllMocks();
});

describe("a live cell with a schedule", () => {
  it("samples what generate samples, plain and cached", async () => {
    const schedule = threshold(profile, { delta: 1, kinds: ["transformer", "resnet"] });
    const { plain, cached, speedup, psnr } = await live(pipeline, { ...run, schedule });
    const expected = await generate(pipeline, run);
    const expectedCached = await generate(pipeline, { ...run, hooks: [cachedRun(schedule)] });
    expect(plain.latents.data).toEqual(expected.latents.data);
    expect(cached.latents.data).toEqual(expectedCached.latents.data);
    expect(cached.latents.data).not.toEqual(plain.latents.data);
    expect(speedup).toBeCloseTo(plain.seconds / cached.seconds, 12);
    expect(psnr).toHaveLength(1);
  });

  it("keeps profile, costs and plain run: another δ costs the cached run's evaluations and no more", async () => {
    const first = await live(pipeline, { ...run, seed: 4, delta: 0.05 });
    const forward = vi.spyOn(pipeline.network, "forward");
    const second = await live(pipeline, { ...run, seed: 4, delta: 0.1 });
    expect(forward).toHaveBeenCalledTimes(STEPS);
    expect(second.plain).toBe(first.plain);
    // Another seed needs another plain run.
    forward.mockClear();
    await live(pipeline, { ...run, seed: 5, delta: 0.1 });
    expect(forward).toHaveBeenCalledTimes(2 * STEPS);
    forward.mockRestore();
  });

  it("takes a schedule or δ, not both", async () => {
    await expect(live(pipeline, { ...run, delta: 0.1, schedule: threshold(profile, { delta: 0.1 }) })).rejects.toThrow(
      "live: expected a schedule or a delta, found both",
    );
  });

  it("refuses a schedule that does not fit before anything is measured, and predicts with the rule's own sums", async () => {
    const schedule = threshold(profile, { delta: 1, kinds: ["transformer", "resnet"] });
    const forward = vi.spyOn(pipeline.network, "forward");
    await expect(live(pipeline, { ...run, prompt: "a bird", steps: STEPS + 1, schedule })).rejects.toThrow(
      /made for 7 network evaluations, and this run has 8/,
    );
    expect(forward).not.toHaveBeenCalled();
    forward.mockRestore();
    const [held, drawn] = [
      await live(pipeline, { ...run, schedule }),
      await live(pipeline, { ...run, schedule, reuse: quadratic }),
    ];
    expect(drawn.predictedSpeedup).not.toBe(held.predictedSpeedup);
  });

  it("stops at the next block when its signal aborts, and keeps nothing of the run", async () => {
    const controller = new AbortController();
    const original = pipeline.network.forward.bind(pipeline.network);
    const forward = vi.spyOn(pipeline.network, "forward").mockImplementation((inputs, options) => {
      if (forward.mock.calls.length === 6) controller.abort();
      return original(inputs, options);
    });
    await expect(live(pipeline, { ...run, seed: 6, delta: 0.1, signal: controller.signal })).rejects.toThrow(
      /interrupted/,
    );
    expect(forward).toHaveBeenCalledTimes(6);
    forward.mockClear();
    await live(pipeline, { ...run, seed: 6, delta: 0.1 });
    expect(forward).toHaveBeenCalledTimes(2 * STEPS);
    forward.mockRestore();
  });
});

it("without a schedule the cell watches the change, with the caller's hooks", async () => {
  const seen: number[] = [];
  const hook: SamplingHook = {
    answer: () => "compute",
    evaluated: async ({ index }) => void seen.push(index),
  };
  const { latents } = await live(pipeline, { ...run, hooks: [hook] });
  expect(seen).toEqual([...Array(STEPS).keys()]);
  expect(latents.data).toEqual((await generate(pipeline, run)).latents.data);
});
