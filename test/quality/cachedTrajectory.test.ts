import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { relativeDistances } from "../../src/quality/distance.js";
import { cachedTrajectory } from "../../src/quality/cachedTrajectory.js";

const options = { prompt: ["red apple", "tree"], seed: [0, 1], steps: 5, solver: "ddim" as const };
let pipeline: Pipeline;
let profile: Profile;
let everySecond: Schedule;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  profile = await profileChange(pipeline, { prompts: options.prompt, seeds: [0, 1], steps: 5, solver: "ddim" });
  everySecond = uniform(profile, { interval: 2 });
}, 60_000);
afterAll(() => pipeline.dispose());

it("has at the first reused step the profile's L2 change, in every reused block", async () => {
  const { blocks } = await cachedTrajectory(pipeline, options, cachedRun(everySecond));
  for (const id of Object.keys(everySecond.blocks)) {
    // trajectories of the profile: apple 0, apple 1, tree 0, tree 1; here: apple 0, tree 1
    [0, 3].forEach((trajectory, image) =>
      expect(blocks[id][image][1]).toBeCloseTo(profile.values.change_l2?.[id][5 * trajectory + 1] ?? NaN, 5),
    );
  }
});

it("ends at the distance of the final latents", async () => {
  const { latents } = await cachedTrajectory(pipeline, options, cachedRun(everySecond));
  const [plain, cached] = [
    await generate(pipeline, options),
    await generate(pipeline, { ...options, hooks: [cachedRun(everySecond)] }),
  ];
  expect(latents.map((image) => image[0])).toEqual([0, 0]);
  expect(latents.map((image) => image[4])).toEqual(relativeDistances(cached.latents, plain.latents));
  expect(latents[0][4]).toBeGreaterThan(0);
});

it("is 0 everywhere for a schedule that computes everywhere", async () => {
  const { latents, blocks } = await cachedTrajectory(pipeline, options, cachedRun(uniform(profile, { interval: 1 })));
  expect(Object.keys(blocks)).toEqual(pipeline.network.blocks.map(({ id }) => id));
  expect([latents, ...Object.values(blocks)].flat(2).every((error) => error === 0)).toBe(true);
});
