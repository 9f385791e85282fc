/** Schedules that need no profile. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
}, 60_000);
afterAll(() => pipeline.dispose());

it("computes at every so manyeth evaluation, and names the sampling that it is for", async () => {
  const schedule = await regularSchedule(pipeline, {
    interval: 3,
    kinds: ["conv_out"],
    steps: 8,
    solver: "dpmsolver++",
    schedulerConfig: { timestep_spacing: "trailing" },
  });
  expect(schedule.blocks).toEqual({ conv_out: [0, 3, 6] });
  expect(schedule).toMatchObject({
    solver: "dpmsolver++",
    num_inference_steps: 8,
    solver_config: { timestep_spacing: "trailing" },
    heuristic: { name: "regular", interval: 3 },
    model: { name: "sd1-like" },
  });
  expect(schedule.timesteps).toHaveLength(8);
});

it("counts network evaluations, of which Heun has two a step but for the first", async () => {
  const { timesteps, blocks } = await regularSchedule(pipeline, {
    interval: 2,
    kinds: ["conv_out"],
    steps: 4,
    solver: "heun",
  });
  expect(timesteps).toHaveLength(7);
  expect(blocks).toEqual({ conv_out: [0, 2, 4, 6] });
});

it.each([0, 1.5, -2, Number.NaN])("refuses an interval of %d", async (interval) => {
  await expect(regularSchedule(pipeline, { interval, kinds: ["transformer"] })).rejects.toThrow(
    /^interval: expected an integer of 1 or more, found /,
  );
});
