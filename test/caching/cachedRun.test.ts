import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { executionPlan, peakCacheBytes, stagesAt } from "../../src/caching/run/executionPlan.js";
import { networkOutline } from "../../src/caching/costs/networkOutline.js";
import { REUSE_RULES, hold, linear } from "../../src/caching/run/reuseRule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";
import { sample } from "../../src/diffusion/sample.js";
import type { SampleOptions } from "../../src/diffusion/samplingPlan.js";
import type { SolverName } from "../../src/diffusion/solvers/index.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";

interface Case {
  readonly model: string;
  readonly solver: SolverName;
  readonly steps: number;
  readonly prompt: string;
  readonly seed: number;
  readonly guidance_scale: number;
  readonly blocks: Record<string, number[]>;
  readonly latents: number[];
}

// test/fixtures/caching.py
const fixtures = JSON.parse(readFileSync("test/fixtures/caching.json", "utf8")) as Record<string, Case>;
const TRAILING = { timestep_spacing: "trailing" };

async function scheduleFor(pipeline: Pipeline, options: SampleOptions, blocks: Schedule["blocks"]): Promise<Schedule> {
  const { solver } = planSampling(pipeline, options);
  return {
    format: "blockcache-schedule",
    version: 1,
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    solver: solver.name,
    num_inference_steps: options.steps ?? 20,
    timesteps: solver.timesteps,
    guidance_scale: 5,
    heuristic: { name: "by hand" },
    blocks,
  };
}

async function latentsOf(pipeline: Pipeline, options: SampleOptions): Promise<FloatTensor> {
  let latents: FloatTensor | undefined;
  for await (const step of sample(pipeline, options)) latents = step.latents;
  if (latents === undefined) throw new Error("no step");
  return latents;
}

function largest(values: ArrayLike<number>, others: ArrayLike<number>): number {
  return Math.max(...Array.from(values, (value, index) => Math.abs(value - others[index])));
}

describe("cached sampling equals diffusers with the same blocks held", () => {
  test.each(Object.entries(fixtures))(
    "%s",
    async (_, { model, solver, steps, prompt, seed, guidance_scale, blocks, latents }) => {
      const pipeline = await loadPipeline(join("test", "fixtures", "models", model));
      const options = { prompt, seed, steps, guidanceScale: guidance_scale, solver, schedulerConfig: TRAILING };
      const run = cachedRun(await scheduleFor(pipeline, options, blocks));
      const { data } = await latentsOf(pipeline, { ...options, hooks: [run] });
      expect(largest(data, latents) / Math.max(...latents.map(Math.abs))).toBeLessThan(1e-3);
      for (const [id, evaluations] of Object.entries(blocks)) {
        const planned = new Set(evaluations);
        for (const evaluation of run.computedAt.get(id) ?? []) expect(planned.has(evaluation)).toBe(true);
        for (const evaluation of run.reusedAt.get(id) ?? []) expect(planned.has(evaluation)).toBe(false);
      }
      await pipeline.dispose();
    },
  );
});

describe("a cached run", () => {
  const options = { prompt: "a red apple", seed: 1, steps: 6, solver: "dpmsolver++" as const };
  let pipeline: Pipeline;
  let ids: string[];
  beforeAll(async () => {
    pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
    ids = pipeline.network.blocks.map(({ id }) => id);
  });
  afterAll(() => pipeline.dispose());

  test("that computes everywhere is bit-equal to the plain one", async () => {
    const everywhere = Object.fromEntries(ids.map((id) => [id, [0, 1, 2, 3, 4, 5]]));
    const run = cachedRun(await scheduleFor(pipeline, options, everywhere));
    expect((await latentsOf(pipeline, { ...options, hooks: [run] })).data).toEqual(
      (await latentsOf(pipeline, options)).data,
    );
    expect(run.peakCacheBytes).toBe(0);
    expect(run.reusedAt.size).toBe(0);
    for (const id of ids) expect(run.computedAt.get(id)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("executes what the schedule says, leaks nothing into the next, and does not touch plain runs", async () => {
    const transformers = Object.fromEntries(ids.filter((id) => id.includes("attentions")).map((id) => [id, [0, 3]]));
    const plain = await latentsOf(pipeline, options);
    const run = cachedRun(await scheduleFor(pipeline, options, transformers), { reuse: linear });
    const first = await latentsOf(pipeline, { ...options, hooks: [run] });
    const other = await latentsOf(pipeline, { ...options, seed: 2, hooks: [run] });
    const again = await latentsOf(pipeline, { ...options, hooks: [run] });
    expect(again.data).toEqual(first.data);
    expect(other.data).not.toEqual(first.data);
    expect((await latentsOf(pipeline, options)).data).toEqual(plain.data);
    for (const id of Object.keys(transformers)) {
      expect(run.computedAt.get(id)).toEqual([0, 3]);
      expect(run.reusedAt.get(id)).toEqual([1, 2, 4, 5]);
    }
  });

  test("of a batch gives the latents of one by one", async () => {
    const transformers = Object.fromEntries(ids.filter((id) => id.includes("attentions")).map((id) => [id, [0, 2, 4]]));
    const schedule = await scheduleFor(pipeline, options, transformers);
    const together = await latentsOf(pipeline, {
      ...options,
      prompt: ["a red apple", "a cat"],
      seed: [1, 2],
      hooks: [cachedRun(schedule)],
    });
    for (const [row, prompt] of ["a red apple", "a cat"].entries()) {
      const alone = await latentsOf(pipeline, { ...options, prompt, seed: [row + 1], hooks: [cachedRun(schedule)] });
      const length = alone.data.length;
      expect(largest(alone.data, together.data.subarray(row * length, (row + 1) * length))).toBeLessThan(1e-5);
    }
  });

  test("does not run what nothing reads: before a reused upsampler, the mid block", async () => {
    const upsampler = ids.find((id) => id.includes("upsamplers"));
    const run = cachedRun(await scheduleFor(pipeline, options, { [String(upsampler)]: [0, 3] }));
    await latentsOf(pipeline, { ...options, hooks: [run] });
    const middle = ids.filter((id) => id.startsWith("mid_block"));
    expect(middle.length).toBeGreaterThan(0);
    for (const id of middle) expect(run.computedAt.get(id)).toEqual([0, 3]);
    expect(run.computedAt.get("conv_in")).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test.each(REUSE_RULES.slice(0, 3).map((rule) => [rule.name, rule] as const))(
    "%s keeps as many bytes as counted beforehand",
    async (_, reuse) => {
      for (const [pattern, interval] of [
        [/attentions/, 2],
        [/./, 3],
        [/up_blocks/, 4],
      ] as const) {
        const scheduled = ids.filter((id) => pattern.test(id) && !id.startsWith("conv_"));
        const schedule = await scheduleFor(
          pipeline,
          options,
          Object.fromEntries(
            scheduled.map((id, index) => [
              id,
              [0, 1, 2, 3, 4, 5].filter((step) => (step + (step > 0 ? index % 2 : 0)) % interval === 0),
            ]),
          ),
        );
        const run = cachedRun(schedule, { reuse });
        await latentsOf(pipeline, { ...options, prompt: ["a red apple", "a tree"], hooks: [run] });
        expect(run.peakCacheBytes).toBe(
          peakCacheBytes(networkOutline(pipeline, pipeline.defaultLatentSize), schedule, 4, reuse),
        );
        expect(run.peakCacheBytes).toBeGreaterThan(0);
      }
    },
  );

  test("costs nothing for what nothing reads, as it runs", async () => {
    const upsampler = String(ids.find((id) => id.includes("upsamplers")));
    const schedule = await scheduleFor(pipeline, options, { [upsampler]: [0, 3] });
    const outline = networkOutline(pipeline, pipeline.defaultLatentSize);
    const run = cachedRun(schedule);
    await latentsOf(pipeline, { ...options, hooks: [run] });
    for (const evaluation of [0, 1, 3, 5]) {
      const ran = ids.filter(
        (id) => run.computedAt.get(id)?.includes(evaluation) || run.reusedAt.get(id)?.includes(evaluation),
      );
      expect(
        stagesAt(outline, executionPlan(schedule, hold), evaluation)
          .map(({ id }) => id)
          .filter((id) => ids.includes(id)),
      ).toEqual(ran);
    }
  });

  test("refuses a schedule for something else, by what is different", async () => {
    const schedule = await scheduleFor(pipeline, options, {});
    const refused = (changed: Partial<Schedule>, message: RegExp) =>
      expect(latentsOf(pipeline, { ...options, hooks: [cachedRun({ ...schedule, ...changed })] })).rejects.toThrow(
        message,
      );
    await refused({ timesteps: [1, 2, 3] }, /made for 3 network evaluations, and this run has 6/);
    await refused(
      { blocks: { "down_blocks.9.attentions.0": [0] } },
      /down_blocks\.9\.attentions\.0: the model has no such block/,
    );
    await refused({ solver: "ddim" }, /made for solver ddim/);
    await refused({ timesteps: [1, 2, 3, 4, 5, 6] }, /timesteps\.0 is 1/);
    await refused({ solver_config: { solver_order: 3 } }, /solver_config\.solver_order is 3, and this run's is 2/);
    await refused({ model: { name: "other", fingerprint: "sha256:0" } }, /made for the model other/);
    const allowed = cachedRun(
      { ...schedule, solver: "ddim", model: { name: "other", fingerprint: "sha256:0" } },
      { allow: ["model", "solver"] },
    );
    await latentsOf(pipeline, { ...options, hooks: [allowed] });
  });
});
