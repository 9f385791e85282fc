import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { CACHEABLE_KINDS } from "../../src/caching/heuristics/heuristic.js";
import { speedups, timeRealised } from "../../src/caching/costs/realised.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import { timingInputs } from "../../src/caching/costs/timingInputs.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";

afterEach(() => void vi.restoreAllMocks());

it("the ideal leaves out just the blocks that do not compute, by a clock that ticks at each look", async () => {
  const pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  const schedule = await regularSchedule(pipeline, { kinds: CACHEABLE_KINDS, interval: 2, steps: 4 });
  const inputs = await timingInputs(pipeline, 2, pipeline.defaultLatentSize);
  let milliseconds = 0;
  vi.spyOn(performance, "now").mockImplementation(() => milliseconds++);
  const timed = await timeRealised(pipeline, schedule, { inputs });
  vi.restoreAllMocks();
  const cacheable = pipeline.network.blocks.filter(({ kind }) => CACHEABLE_KINDS.includes(kind)).length;
  // The start and the end of each stage, and of the whole.
  expect(timed.plainSeconds).toBeCloseTo((2 * 4 * pipeline.network.unet.stages.length + 1) / 1000, 12);
  expect(timed.skippedSeconds).toBeCloseTo((2 * cacheable) / 1000, 12);
  const { ideal } = speedups(timed);
  // At most all of two of the four evaluations is skipped.
  expect(ideal).toBeGreaterThan(1);
  expect(ideal).toBeLessThanOrEqual(2);
  await pipeline.dispose();
});
