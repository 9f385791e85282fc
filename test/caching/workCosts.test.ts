/** Costs that are counted: budgets and predictions in multiply-adds. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { predictSeconds, predictSpeedup } from "../../src/caching/costs/predictSeconds.js";
import { workCosts } from "../../src/caching/costs/workCosts.js";
import { withinBudget } from "../../src/caching/heuristics/search.js";
import { heuristicNamed } from "../../src/caching/heuristics/registry.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { blockMap } from "../../src/instrument/blockMap.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";

const ROWS = 4;
let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
});
afterAll(() => pipeline.dispose());

describe("costs of multiply-adds", () => {
  it("are the block map's, once an evaluation that computes, and nothing for what is reused", async () => {
    const costs = await workCosts(pipeline, { rows: ROWS });
    const blocks = blockMap(pipeline).filter(({ inside }) => inside === undefined);
    const all = blocks.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
    const transformers = blocks.filter(({ kind }) => kind === "transformer");
    const cacheable = transformers.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0);
    const schedule = await regularSchedule(pipeline, { steps: 6, solver: "ddim", interval: 2, kinds: ["transformer"] });
    // 6 evaluations, of which 3 compute the transformers
    expect(predictSeconds(costs, schedule)).toBeCloseTo((ROWS * (6 * all - 3 * cacheable)) / 1e9, 12);
    expect(predictSpeedup(costs, schedule)).toBeCloseTo((6 * all) / (6 * all - 3 * cacheable), 12);
  });

  it("are a budget for heuristics", async () => {
    const costs = await workCosts(pipeline, { rows: ROWS });
    const profile = await profileChange(pipeline, { prompts: ["red apple"], seeds: [0], steps: 6, solver: "ddim" });
    for (const name of ["threshold", "greedy", "dynamic-programme"]) {
      const schedule = withinBudget(heuristicNamed(name), profile, { costs, speedup: 1.1 });
      expect(predictSpeedup(costs, schedule)).toBeGreaterThanOrEqual(1.1);
    }
  });
});
