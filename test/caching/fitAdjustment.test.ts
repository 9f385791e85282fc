import { download } from "../../src/engine/transfer.js";
import { existsSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { loadAdjustment } from "../../src/caching/adjustment/adjustmentFile.js";
import { fitAdjustment } from "../../src/caching/adjustment/fitAdjustment.js";
import type { FitOptions } from "../../src/caching/adjustment/fitAdjustment.js";
import { networkOutline } from "../../src/caching/costs/networkOutline.js";
import { followingBlocks, mendingOf } from "../../src/caching/run/adjustmentMender.js";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { peakCacheBytes } from "../../src/caching/run/executionPlan.js";
import { linear, reuseRule } from "../../src/caching/run/reuseRule.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { scheduleSampling } from "../../src/caching/schedule/scheduleSampling.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { InterruptedError } from "../../src/errors.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import { finalLatents } from "../../src/study/finalLatents.js";

const BLOCK = "down_blocks.0.attentions.0";
const PROMPTS = ["red apple", "cat face", "rocket", "sunflower"];
const TRAJECTORIES = PROMPTS.map((prompt) => ({ prompt, seed: 3 }));
const folder = mkdtempSync(join(tmpdir(), "fit-"));

let pipeline: Pipeline;
let everySecond: Schedule;
/** one block reuses, at the third evaluation alone: until then the student is the plain run */
let once: Schedule;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  everySecond = await regularSchedule(pipeline, { steps: 5, solver: "ddim", interval: 2, kinds: ["transformer"] });
  once = { ...everySecond, blocks: { [BLOCK]: [0, 1, 3, 4] } };
});
afterAll(() => pipeline.dispose());

const fit = (schedule: Schedule, options: Partial<FitOptions> = {}): Promise<Adjustment> =>
  fitAdjustment(pipeline, schedule, { prompts: PROMPTS, seeds: [3], ...options });

/** C of the block and its input, [rows, channels, pixels], at each evaluation of the plain run. */
async function plainBranches(trajectories = TRAJECTORIES): Promise<{ branch: Float32Array; input: Float32Array }[]> {
  const found: { branch: Float32Array; input: Float32Array }[] = [];
  const look = hook(BLOCK, ({ branch, out }) => {
    found.push({ branch: branch.data.slice(), input: out.data.map((value, index) => value - branch.data[index]) });
  });
  await finalLatents(pipeline, trajectories, { ...scheduleSampling(everySecond), hooks: [look] });
  return found;
}

const CHANNELS = 16;
const PIXELS = 64;

/** A channel of rows that count, guided where asked for: 5·conditional − 4·unconditional. */
function channelOf(map: Float32Array, channel: number, rows: readonly number[], guided: boolean): number[] {
  const at = (row: number, pixel: number): number => map[(row * CHANNELS + channel) * PIXELS + pixel];
  return rows.flatMap((row) =>
    Array.from({ length: PIXELS }, (_, pixel) =>
      guided ? 5 * at(row + PROMPTS.length, pixel) - 4 * at(row, pixel) : at(row, pixel),
    ),
  );
}

describe("the closed form", () => {
  const all = [...PROMPTS.keys()];
  const asTheyAre = { rows: [...all, ...all.map((row) => row + PROMPTS.length)], guided: false, weight: 1 };
  const combined = { rows: all, guided: true, weight: 1 };
  test.each([
    ["together", [asTheyAre]],
    ["guided", [combined]],
    ["balanced", [{ ...asTheyAre, weight: 0.25 }, combined]],
  ] as const)("is the regression of the teacher's C on the kept one, halves %s", async (halves, parts) => {
    const branches = await plainBranches();
    const { blocks, report } = await fit(once, { halves, terms: ["scale", "shift"] });
    const [{ ridge }] = report[BLOCK];
    if (ridge === null) throw new Error("left out");
    const { scale, shift } = blocks[BLOCK].terms;
    const numbersOf = (map: Float32Array): number[][] =>
      Array.from({ length: CHANNELS }, (_, channel) =>
        parts.flatMap(({ rows, guided }) => channelOf(map, channel, rows, guided)),
      );
    const [xs, ys] = [1, 2].map((evaluation) => numbersOf(branches[evaluation].branch));
    // A trajectory's part counts by the error that it has without.
    const units = parts.flatMap(({ rows }, part) =>
      rows.flatMap((row) => Array<number>(PIXELS).fill(part * PROMPTS.length + (row % PROMPTS.length))),
    );
    const errors = parts.flatMap(() => PROMPTS.map(() => 0));
    xs.forEach((x, channel) =>
      x.forEach((value, index) => (errors[units[index]] += (ys[channel][index] - value) ** 2)),
    );
    for (let channel = 0; channel < CHANNELS; channel++) {
      // Weighted least squares is that of rows times the weights' roots.
      const roots = units.map((unit) => (parts[Math.floor(unit / PROMPTS.length)].weight / errors[unit]) ** 0.5);
      const x = xs[channel].map((value, index) => roots[index] * value);
      const y = ys[channel].map((value, index) => roots[index] * value);
      // The ridge, as rows added for it: λ Σx² (scale − 1)² + λ n shift².
      const strength = Math.sqrt(ridge);
      const size = Math.sqrt(x.reduce((sum, value) => sum + value ** 2, 0));
      const normal = (s: number, t: number): [number, number] => {
        const residual = x.map((value, index) => y[index] - s * value - roots[index] * t);
        return [
          x.reduce((sum, value, index) => sum + value * residual[index], 0) - (strength * size) ** 2 * (s - 1),
          roots.reduce((sum, root, index) => sum + root * residual[index], 0) -
            strength ** 2 * roots.reduce((sum, root) => sum + root ** 2, 0) * t,
        ];
      };
      const gradient = normal(scale?.[2 * CHANNELS + channel] ?? 0, shift?.[2 * CHANNELS + channel] ?? 0);
      const before = normal(1, 0);
      // Where the gradient of the sum is zero, it is least.
      expect(Math.hypot(...gradient) / Math.hypot(...before)).toBeLessThan(1e-4);
    }
    // Other evaluations compute, and have nothing to mend.
    expect(scale?.filter((value) => value !== 1).length).toBe(CHANNELS);
  });

  test("a shift alone is added to what the reuse rule makes", async () => {
    const [[alone], [both]] = [await fit(once, { terms: ["shift"] }), await fit(once)].map(
      ({ report }) => report[BLOCK],
    );
    expect(alone.before).toBeCloseTo(both.before, 9);
    expect(alone.fitted).toBeLessThanOrEqual(alone.before);
    expect(alone.fitted).toBeGreaterThanOrEqual(both.fitted);
  });

  test("what it says of its error is what the run does", async () => {
    // Of one trajectory, as several are weighted.
    const [one] = TRAJECTORIES;
    const branches = await plainBranches([one]);
    const adjustment = await fit(once, { halves: "together", prompts: [one.prompt] });
    const [{ evaluation, fitted, before }] = adjustment.report[BLOCK];
    const target = branches[evaluation].branch;
    const errorOf = async (run: ReturnType<typeof cachedRun>): Promise<number> => {
      let error = Infinity;
      const spy: typeof run = {
        ...run,
        answer(block, at) {
          const answer = run.answer(block, at);
          if (answer === "compute" || !("standIn" in answer)) return answer;
          const { standIn } = answer;
          return {
            async standIn(input) {
              const made = typeof standIn === "function" ? await standIn(input) : standIn;
              using branch = await pipeline.network.standInValue(block, made);
              const { data } = await download(pipeline.device, branch);
              const size = target.reduce((sum, value) => sum + value ** 2, 0);
              error = data.reduce((sum, value, index) => sum + (value - target[index]) ** 2, 0) / size;
              return made;
            },
          };
        },
      };
      await finalLatents(pipeline, [one], { ...scheduleSampling(once), hooks: [spy] });
      return error;
    };
    expect((await errorOf(cachedRun(once))) / before).toBeCloseTo(1, 3);
    expect((await errorOf(cachedRun(once, { adjustment }))) / fitted).toBeCloseTo(1, 3);
    expect(fitted).toBeLessThan(before);
  });

  test("where no block before it was reused, a block's out asks for the same as its C", async () => {
    expect(largestDifference(await fit(once, { target: "out" }), await fit(once, { target: "branch" }))).toBeLessThan(
      1e-3,
    );
    const [toOut, toBranch] = [await fit(everySecond, { target: "out" }), await fit(everySecond, { target: "branch" })];
    expect(largestDifference(toOut, toBranch)).toBeGreaterThan(0.01);
  });

  test("batches change nothing, nor does an interruption", async () => {
    const options = { terms: ["scale", "change", "input_change", "shift"] as const, reuse: linear };
    const whole = await fit(everySecond, options);
    const apart = await fit(everySecond, { ...options, batch: 2 });
    expect(largestDifference(whole, apart)).toBeLessThan(1e-3);

    const file = join(folder, "resumed.safetensors");
    const controller = new AbortController();
    await expect(
      fit(everySecond, {
        ...options,
        batch: 2,
        file,
        signal: controller.signal,
        onProgress: (done) => (done === 3 ? controller.abort() : undefined),
      }),
    ).rejects.toBeInstanceOf(InterruptedError);
    expect(existsSync(file)).toBe(true);
    expect((await loadAdjustment(file)).fit.evaluations).toBe(3);
    const resumed = await fit(everySecond, { ...options, batch: 2, file });
    expect(resumed).toEqual(apart);
    expect(await loadAdjustment(file)).toEqual(apart);
    await expect(fit(everySecond, { ...options, batch: 2, file, terms: ["scale"] })).rejects.toThrow(
      /fitted otherwise/,
    );
  });

  test("without a fit on a block, the run is as it was, bit by bit", async () => {
    const adjustment = { ...(await fit(everySecond, { prompts: PROMPTS.slice(0, 2) })), blocks: {} };
    const [plain, adjusted] = [cachedRun(everySecond), cachedRun(everySecond, { adjustment })];
    const options = scheduleSampling(everySecond);
    expect(await finalLatents(pipeline, TRAJECTORIES, { ...options, hooks: [adjusted] })).toEqual(
      await finalLatents(pipeline, TRAJECTORIES, { ...options, hooks: [plain] }),
    );
  });

  test("options that make no sense are refused", async () => {
    await expect(fit(once, { prompts: [] })).rejects.toThrow(/prompts: expected at least one/);
    await expect(fit(once, { batch: 0 })).rejects.toThrow(/batch: expected an integer of 1 or more/);
    await expect(fit(once, { terms: [] })).rejects.toThrow(/terms: expected some of scale/);
    const adjustment = await fit(once, { prompts: PROMPTS.slice(0, 2) });
    expect(() => cachedRun(everySecond, { adjustment })).toThrow(/fitted for another schedule/);
    expect(() => cachedRun(once, { adjustment, reuse: linear })).toThrow(/fitted for the reuse rule hold/);
  });
});

function largestDifference(one: Adjustment, other: Adjustment): number {
  return Math.max(
    ...Object.entries(one.blocks).flatMap(([id, { terms }]) =>
      Object.entries(terms).flatMap(([term, values]) => {
        const others = other.blocks[id].terms[term as "scale"] ?? new Float32Array();
        return Array.from(values, (value, index) => Math.abs(value - others[index]));
      }),
    ),
  );
}

test.each([
  ["scale and shift", ["scale", "shift"], "hold"],
  ["two values and the input's change, on a line", ["scale", "change", "input_change", "shift"], "linear"],
] as const)("the planned cache is what the run held at most: %s", async (_, terms, name) => {
  const reuse = reuseRule(name);
  const adjustment = await fit(everySecond, { terms, reuse, prompts: PROMPTS.slice(0, 2) });
  const run = cachedRun(everySecond, { adjustment, reuse });
  await finalLatents(pipeline, TRAJECTORIES, { ...scheduleSampling(everySecond), hooks: [run] });
  const outline = networkOutline(pipeline, pipeline.defaultLatentSize);
  const mending = mendingOf(adjustment, followingBlocks(pipeline.network.blocks));
  expect(run.peakCacheBytes).toBe(peakCacheBytes(outline, everySecond, 2 * TRAJECTORIES.length, reuse, mending));
});
