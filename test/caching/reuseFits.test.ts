import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import { fitReuses } from "../../src/caching/adjustment/fitReuses.js";
import { adjustmentFrom } from "../../src/caching/adjustment/adjustmentFrom.js";
import type { ReuseFits } from "../../src/caching/adjustment/reuseFits.js";
import { loadReuseFits, saveReuseFits } from "../../src/caching/adjustment/reuseFitsFile.js";
import type { Costs } from "../../src/caching/costs/costs.js";
import { networkOutline } from "../../src/caching/costs/networkOutline.js";
import { predictSeconds } from "../../src/caching/costs/predictSeconds.js";
import { dynamicProgramme } from "../../src/caching/heuristics/dynamicProgramme.js";
import { greedy } from "../../src/caching/heuristics/greedy.js";
import { uniform } from "../../src/caching/heuristics/uniform.js";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { linear } from "../../src/caching/run/reuseRule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { sample } from "../../src/diffusion/sample.js";
import { download } from "../../src/engine/transfer.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { relativeDistances } from "../../src/quality/distance.js";
import { finalLatents } from "../../src/study/finalLatents.js";
import { refineOnTrajectory } from "../../src/study/refineOnTrajectory.js";

const PROMPTS = ["red apple", "cat face", "rocket", "sunflower"];
const STEPS = 5;
const W = 5;
const sampling = { steps: STEPS, solver: "ddim", guidanceScale: W } as const;
const BLOCK = "down_blocks.0.attentions.0";
const folder = mkdtempSync(join(tmpdir(), "blockcache-reuse-fits-"));

let pipeline: Pipeline;
let fits: ReuseFits;
let profile: Profile;
let costs: Costs;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  fits = await fitReuses(pipeline, { ...sampling, prompts: PROMPTS });
  profile = await profileChange(pipeline, { ...sampling, prompts: ["tree"], seeds: [0] });
  // Every block costs the same: what a search finds then does not hang on this machine's clock.
  const each = (seconds: number): Record<string, Float64Array> =>
    Object.fromEntries(pipeline.network.blocks.map(({ id }) => [id, Float64Array.of(seconds)]));
  costs = {
    setting: { fingerprint: await pipeline.fingerprint(), device: "cpu", rows: 4, latent_size: [8, 8] },
    ...{ compute: each(1), keep: each(1), reuse: each(0.1), reuse2: each(0.1), reuse3: each(0.1) },
    ...{ rest: Float64Array.of(1), text: Float64Array.of(0) },
    network: networkOutline(pipeline, pipeline.defaultLatentSize),
  };
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true });
});

/** Computes everywhere but at these evaluations, in some blocks. */
function reusing(cells: Readonly<Record<string, readonly number[]>>): Schedule {
  const schedule = uniform(profile, { interval: 1 });
  const all = [...schedule.timesteps.keys()];
  const blocks = Object.entries(cells).map(([id, reused]) => [id, all.filter((each) => !reused.includes(each))]);
  return { ...schedule, blocks: Object.fromEntries(blocks) as Schedule["blocks"] };
}

describe("fits of reuses", () => {
  // Up to the first reuse a cached run is the plain one, so that the closed form sees what the fits see.
  test.each([1, 3, 4])("are the closed form where nothing was reused before: evaluation %i", async (evaluation) => {
    const schedule = reusing({ [BLOCK]: [evaluation] });
    const fitted = await fitAdjustment(pipeline, schedule, { prompts: PROMPTS });
    const found = adjustmentFrom(fits, schedule);
    for (const term of ["scale", "shift"] as const) {
      const [own, other] = [found, fitted].map(({ blocks }) => blocks[BLOCK].terms[term] ?? new Float32Array());
      expect(own).toHaveLength(other.length);
      own.forEach((value, index) => expect(value).toBeCloseTo(other[index], 5));
    }
    const [{ held_out }] = fitted.report[BLOCK];
    expect(fits.blocks[BLOCK].error[evaluation * fits.window]).toBeCloseTo(Math.sqrt(held_out), 6);
  });

  test("bring every reuse nearer along plain runs, whatever its age", async () => {
    const branches: Float32Array[] = [];
    const look = {
      answer: ({ id }: { id: string }) => (id === BLOCK ? { look: ["branch" as const] } : ("compute" as const)),
      async look(_: unknown, { branch }: { branch?: Parameters<typeof download>[1] }) {
        if (branch !== undefined) branches.push((await download(pipeline.device, branch)).data);
        return undefined;
      },
    };
    const run = sample(pipeline, { ...sampling, prompt: PROMPTS, seed: PROMPTS.map(() => 0), hooks: [look] });
    for await (const _ of run);
    const { channels, scale, shift } = fits.blocks[BLOCK];
    const rowLength = branches[0].length / (2 * PROMPTS.length);
    const pixels = rowLength / channels;
    /** Σ over what guidance makes of both halves, in shares of each trajectory's own error */
    const shareLeft = (evaluation: number, age: number): number =>
      PROMPTS.reduce((sum, _, image) => {
        let [before, after] = [0, 0];
        for (let index = 0; index < rowLength; index++) {
          const guided = (map: Float32Array): number =>
            W * map[(PROMPTS.length + image) * rowLength + index] + (1 - W) * map[image * rowLength + index];
          const [then, now] = [guided(branches[evaluation - age]), guided(branches[evaluation])];
          const place = (evaluation * fits.window + age - 1) * channels + Math.floor(index / pixels);
          before += (now - then) ** 2;
          after += (now - scale[place] * then - shift[place]) ** 2;
        }
        return sum + after / before / PROMPTS.length;
      }, 0);
    for (let evaluation = 1; evaluation < STEPS; evaluation++)
      for (let age = 1; age <= evaluation; age++) expect(shareLeft(evaluation, age)).toBeLessThanOrEqual(1.001);
    expect(shareLeft(4, 4)).toBeLessThan(0.9);
  });

  test("are read as they were written, and refused where they do not fit", async () => {
    const file = join(folder, "fits.safetensors");
    await saveReuseFits(file, fits);
    expect(await loadReuseFits(file)).toEqual(fits);
    writeFileSync(file, "no such thing");
    await expect(loadReuseFits(file)).rejects.toThrow(/fits.safetensors/);
    const schedule = reusing({ [BLOCK]: [2] });
    expect(() => adjustmentFrom(fits, { ...schedule, guidance_scale: 3 })).toThrow(
      /reuse fits: expected those of the schedule's guidance_scale, 3, found 5/,
    );
    expect(() => adjustmentFrom(fits, reusing({ "mid_block.resnets.0": [2] }))).toThrow(
      /expected mid_block.resnets.0 among the blocks/,
    );
    await expect(fitReuses(pipeline, { ...sampling, prompts: PROMPTS, window: 0 })).rejects.toThrow(/window: expected/);
  });
});

describe("schedules for runs that will be adjusted", () => {
  /** What is left of the errors of a block's reuses. */
  const missed = (computed: readonly number[]): number => {
    let [last, sum] = [0, 0];
    for (let evaluation = 1; evaluation < STEPS; evaluation++)
      if (computed.includes(evaluation)) last = evaluation;
      else sum += fits.blocks[BLOCK].error[evaluation * fits.window + evaluation - last - 1];
    return sum;
  };
  const everyWay = Array.from({ length: 2 ** (STEPS - 1) }, (_, bits) => [
    0,
    ...[1, 2, 3, 4].filter((evaluation) => (bits >> (evaluation - 1)) & 1),
  ]);

  test("the dynamic programme has the least error of all schedules of a block within the budget", () => {
    for (const fewest of [1, 2, 3]) {
      const seconds = predictSeconds(costs, reusing({ [BLOCK]: Array.from({ length: fewest }, (_, at) => at + 1) }));
      const within = everyWay.filter(
        (computed) => predictSeconds(costs, { ...reusing({}), blocks: { [BLOCK]: computed } }) <= seconds + 1e-9,
      );
      const schedule = dynamicProgramme(profile, { costs, seconds: seconds + 1e-9, fits, pattern: BLOCK });
      expect(missed(schedule.blocks[BLOCK])).toBeCloseTo(Math.min(...within.map(missed)), 9);
      expect(schedule.heuristic).toMatchObject({ fits: { trajectories: PROMPTS.length, window: STEPS - 1 } });
    }
  });

  test("greedy reuses first where the least error is left", () => {
    const seconds = predictSeconds(costs, reusing({ [BLOCK]: [1] }));
    const { blocks } = greedy(profile, { costs, seconds: seconds + 1e-9, fits, pattern: BLOCK });
    const once = everyWay.filter(({ length }) => length === STEPS - 1);
    const [best] = once.sort((a, b) => missed(a) - missed(b));
    expect(blocks[BLOCK]).toEqual(best);
  });

  test("the search on the cached trajectory finds the best of all by the error of adjusted runs", async () => {
    const trajectories = [{ prompt: "tree", seed: 1 }];
    const plain = await finalLatents(pipeline, trajectories, sampling);
    const errorOf = async (schedule: Schedule, mended: boolean): Promise<number> => {
      const adjustment = mended ? adjustmentFrom(fits, schedule) : undefined;
      const hooks = [cachedRun(schedule, { adjustment })];
      return relativeDistances(await finalLatents(pipeline, trajectories, { ...sampling, hooks }), plain)[0];
    };
    const start = reusing({ [BLOCK]: [1, 2] });
    const seconds = predictSeconds(costs, start);
    const rivals: { computed: readonly number[]; error: number }[] = [];
    for (const computed of everyWay) {
      const schedule = { ...start, blocks: { [BLOCK]: computed } };
      if (predictSeconds(costs, schedule) > seconds + 1e-9) continue;
      rivals.push({ computed, error: await errorOf(schedule, true) });
    }
    const best = rivals.reduce((least, each) => (each.error < least.error ? each : least));
    const options = { costs, seconds: seconds + 1e-9, trajectories, fits };
    const refined = await refineOnTrajectory(pipeline, start, options);
    expect(refined.startError).toBeCloseTo(await errorOf(start, true), 9);
    expect(refined.startError).not.toBeCloseTo(await errorOf(start, false), 5);
    expect(refined.schedule.blocks[BLOCK]).toEqual(best.computed);
    expect(refined.error).toBeCloseTo(best.error, 9);
    const hooks = [cachedRun(refined.schedule, { adjustment: refined.adjustment })];
    const latents = await finalLatents(pipeline, trajectories, { ...sampling, hooks });
    expect(relativeDistances(latents, plain)[0]).toBeCloseTo(best.error, 9);
    await expect(refineOnTrajectory(pipeline, start, { ...options, reuse: linear })).rejects.toThrow(
      /expected hold, which the fits mend, found linear/,
    );
  });
});
