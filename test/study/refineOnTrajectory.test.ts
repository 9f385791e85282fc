import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { networkOutline } from "../../src/caching/costs/networkOutline.js";
import { predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { finalLatents } from "../../src/study/finalLatents.js";
import { measureTransfer } from "../../src/study/measureTransfer.js";
import { refineOnTrajectory } from "../../src/study/refineOnTrajectory.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-refine-"));
const trajectories = [
  { prompt: "red apple", seed: 0 },
  { prompt: "tree", seed: 1 },
];
const sampling = { steps: 5, solver: "ddim" as const };
let pipeline: Pipeline;
let costs: Costs;
let start: Schedule;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  // Every block costs the same: what the search finds then does not hang on this machine's clock.
  const each = (seconds: number) =>
    Object.fromEntries(pipeline.network.blocks.map(({ id }) => [id, Float64Array.of(seconds)]));
  costs = {
    setting: { fingerprint: await pipeline.fingerprint(), device: "cpu", rows: 4, latent_size: [8, 8] },
    compute: each(1),
    keep: each(1),
    reuse: each(0.1),
    reuse2: each(0.1),
    reuse3: each(0.1),
    rest: Float64Array.of(1),
    text: Float64Array.of(0),
    network: networkOutline(pipeline, pipeline.defaultLatentSize),
  };
  start = uniform(await profileChange(pipeline, { ...sampling, prompts: ["tree"], seeds: [0] }), {
    interval: 2,
    kinds: CACHEABLE_KINDS,
  });
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true });
});

/** mean over trajectories of ‖x − plain‖ ÷ ‖plain‖ */
async function errorOf(schedule: Schedule): Promise<number> {
  const [plain, cached] = [
    await finalLatents(pipeline, trajectories, sampling),
    await finalLatents(pipeline, trajectories, { ...sampling, hooks: [cachedRun(schedule)] }),
  ];
  const length = plain.data.length / 2;
  const norm = (row: number, of: (index: number) => number) =>
    Math.hypot(...Array.from({ length }, (_, index) => of(row * length + index)));
  return (
    [0, 1].reduce(
      (sum, row) =>
        sum + norm(row, (index) => cached.data[index] - plain.data[index]) / norm(row, (index) => plain.data[index]),
      0,
    ) / 2
  );
}

test("finds a schedule with less error within the budget, and resumes to the same one", async () => {
  const speedup = predictSpeedup(costs, start);
  const options = { costs, speedup, trajectories, runs: 45 };
  const whole = await refineOnTrajectory(pipeline, start, options);
  expect(whole.startError).toBeCloseTo(await errorOf(start), 6);
  expect(whole.error).toBeCloseTo(await errorOf(whole.schedule), 6);
  expect(whole.error).toBeLessThan(whole.startError);
  expect(predictSpeedup(costs, whole.schedule)).toBeGreaterThanOrEqual(speedup - 1e-9);
  expect(whole.schedule.heuristic).toMatchObject({
    name: "trajectory-search",
    speedup,
    error: whole.error,
    start: start.heuristic,
  });

  const file = join(folder, "search.json");
  const controller = new AbortController();
  await expect(
    refineOnTrajectory(pipeline, start, {
      ...options,
      file,
      signal: controller.signal,
      onProgress: (done) => void (done === 20 && controller.abort()),
    }),
  ).rejects.toThrow(/interrupted/);
  let sampled = 0;
  const counting = { ...options, file, onProgress: () => void sampled++ };
  expect(await refineOnTrajectory(pipeline, start, counting)).toEqual(whole);
  expect(sampled).toBe(whole.runs);
  await expect(
    refineOnTrajectory(pipeline, start, { ...options, file, trajectories: trajectories.slice(1) }),
  ).rejects.toThrow(/holds a search in another setting/);
  await expect(refineOnTrajectory(pipeline, start, { ...options, speedup: 100 })).rejects.toThrow(
    /expected a schedule within the budget/,
  );
}, 60_000);

test("transfer is measured in each setting: at home a schedule that computes everywhere is exact", async () => {
  const profiles = {
    ddim5: await profileChange(pipeline, { ...sampling, prompts: ["tree"], seeds: [0] }),
    dpm4: await profileChange(pipeline, {
      steps: 4,
      solver: "dpmsolver++",
      guidanceScale: 3,
      prompts: ["red apple"],
      seeds: [1],
    }),
  };
  const exact = await measureTransfer(pipeline, profiles, (profile) => uniform(profile, { interval: 1 }));
  expect(exact.filter(({ from, to }) => from === to).map(({ distances }) => distances)).toEqual([[0], [0]]);
  const rows = await measureTransfer(pipeline, profiles, (profile) => uniform(profile, { interval: 2 }));
  expect(rows.map(({ from, to }) => `${from} ${to}`)).toEqual(["ddim5 ddim5", "ddim5 dpm4", "dpm4 ddim5", "dpm4 dpm4"]);
  for (const { distances } of rows) expect(distances[0]).toBeGreaterThan(0);
}, 60_000);
