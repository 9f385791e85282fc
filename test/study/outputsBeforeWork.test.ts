/** Every long call of the library finds out that its output cannot be written before it does any of its work. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import { distilAdjustment } from "../../src/caching/adjustment/distil.js";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { measureCosts } from "../../src/caching/costs/costs.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { ArgumentError, InUseError } from "../../src/errors.js";
import { exportFigure } from "../../src/figures/headless/export.js";
import { whileLocked } from "../../src/files/whileLocked.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { evaluate } from "../../src/study/evaluation/index.js";
import { refineOnTrajectory } from "../../src/study/refineOnTrajectory.js";
import { runStudy } from "../../src/study/runStudy.js";

const PROMPTS = ["red apple", "cat face"];
const TRAJECTORIES = PROMPTS.map((prompt) => ({ prompt, seed: 0 }));
const folder = mkdtempSync(join(tmpdir(), "blockcache-before-"));
const taken = join(folder, "taken");
const file = join(folder, "file");

let pipeline: Pipeline;
let schedule: Schedule;
let adjustment: Adjustment;
let costs: Costs;
/** what was said of work done */
let done: number[] = [];
const onProgress = (count: number): void => void done.push(count);

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  schedule = await regularSchedule(pipeline, { steps: 4, solver: "ddim", interval: 2, kinds: ["transformer"] });
  adjustment = await fitAdjustment(pipeline, schedule, { prompts: PROMPTS });
  costs = await measureCosts(pipeline, { rows: 2, samples: 1 });
  mkdirSync(taken);
  writeFileSync(file, "");
});
beforeEach(() => {
  done = [];
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true });
});

/** Calls that keep what they do in a file, or fill a folder. */
const CALLS: Readonly<Record<string, (output: string) => Promise<unknown>>> = {
  profileChange: (output) =>
    profileChange(pipeline, { prompts: PROMPTS, seeds: [0], steps: 4, file: output, onProgress }),
  fitAdjustment: (output) => fitAdjustment(pipeline, schedule, { prompts: PROMPTS, file: output, onProgress }),
  distilAdjustment: (output) =>
    distilAdjustment(pipeline, schedule, adjustment, { prompts: PROMPTS, iterations: 1, file: output, onProgress }),
  refineOnTrajectory: (output) =>
    refineOnTrajectory(pipeline, schedule, {
      ...{ costs, speedup: 1, trajectories: TRAJECTORIES, runs: 1 },
      ...{ file: output, onProgress },
    }),
};
const FILLING: typeof CALLS = {
  runStudy: (output) =>
    runStudy(pipeline, {
      ...{ prompts: PROMPTS, seeds: [0], arms: [], solver: "ddim", steps: 4, convergedSteps: 6 },
      ...{ folder: output, onProgress },
    }),
  evaluate: (output) =>
    evaluate(pipeline, {
      ...{ settings: [{ name: "plain", solver: "ddim", steps: 4 }], prompts: PROMPTS, seeds: [0] },
      ...{ folder: output, metrics: ["clip-score"], onProgress },
    }),
};

describe("a file that cannot be written", () => {
  it.each(Object.entries(CALLS))("%s", async (_, call) => {
    for (const output of [taken, "", join(file, "x.safetensors"), "/dev/null"])
      await expect(call(output)).rejects.toThrow(/expected a file that can be written/);
    expect(done).toEqual([]);
  });

  test("exportFigure", async () => {
    // A figure that cannot be drawn
    const figure = { data: [{ type: "no such trace" }], layout: null } as unknown as Parameters<typeof exportFigure>[0];
    await expect(exportFigure(figure, join(file, "x.svg"))).rejects.toThrow(/expected a file that can be written/);
    await expect(exportFigure(figure, join(folder, "x.gif"))).rejects.toThrow(/expected a name that ends in/);
  });
});

describe("a folder that cannot be filled", () => {
  it.each(Object.entries(FILLING))("%s", async (_, call) => {
    for (const output of [file, "", join(file, "x")]) await expect(call(output)).rejects.toThrow(ArgumentError);
    expect(done).toEqual([]);
  });
});

describe("an output that another call is working at", () => {
  it.each(Object.entries(CALLS))("%s", async (_, call) => {
    const output = join(folder, "held.safetensors");
    await whileLocked(output, () => expect(call(output)).rejects.toThrow(InUseError));
    expect(done).toEqual([]);
  });

  it.each([
    ["runStudy", "study.json"],
    ["evaluate", "evaluation.json"],
  ])("%s", async (name, result) => {
    const output = join(folder, "held");
    await whileLocked(join(output, result), () => expect(FILLING[name](output)).rejects.toThrow(InUseError));
    expect(done).toEqual([]);
    expect(readdirSync(output)).toEqual([]);
  });
});
