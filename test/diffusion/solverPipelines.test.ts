/** Every solver in a pipeline against diffusers: the generator's order, guidance, and what counts as an evaluation. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cachedRun } from "../../src/caching/run/cachedRun.js";
import { threshold } from "../../src/caching/heuristics/threshold.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { sample } from "../../src/diffusion/sample.js";
import type { SamplingStep } from "../../src/diffusion/sample.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";
import type { SampleOptions } from "../../src/diffusion/samplingPlan.js";
import type { SolverName } from "../../src/diffusion/solvers/index.js";
import { ArgumentError } from "../../src/errors.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { largestDifference } from "../numerics/largestDifference.js";

interface Fixture {
  readonly model: string;
  readonly steps: number;
  readonly guidance_scale: number;
  /** start latents of the cases in which they are given */
  readonly start: number[];
  readonly cases: {
    solver: SolverName;
    config: Record<string, unknown>;
    prompts: string[];
    seeds: number[];
    given: boolean;
    latents: number[];
  }[];
  readonly profiles: {
    solver: SolverName;
    config: Record<string, unknown>;
    prompt: string;
    seed: number;
    timesteps: number[];
    change: Record<string, number[]>;
  }[];
}

// test/fixtures/solverPipelines.py
const { model, steps, guidance_scale, start, cases, profiles } = JSON.parse(
  readFileSync("test/fixtures/solverPipelines.json", "utf8"),
) as Fixture;
let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", model));
});
afterAll(() => pipeline.dispose());

async function run(options: SampleOptions): Promise<SamplingStep[]> {
  const collected: SamplingStep[] = [];
  for await (const step of sample(pipeline, options)) collected.push(step);
  return collected;
}

describe("final latents as StableDiffusionPipeline's", () => {
  // pipe.scheduler = CLASS.from_config(pipe.scheduler.config, **config);
  // pipe(prompts, num_inference_steps=5, guidance_scale=5, generator=[…], latents=given, output_type="latent").images
  it.each(
    cases.map(
      (one) =>
        [
          `${one.solver} ${JSON.stringify(one.config)} seeds ${one.seeds.join(", ")}${one.given ? ", latents given" : ""}`,
          one,
        ] as const,
    ),
  )("%s", async (_, { solver, config, prompts, seeds, given, latents }) => {
    const options = {
      prompt: prompts,
      seed: seeds,
      steps,
      guidanceScale: guidance_scale,
      solver,
      schedulerConfig: config,
    };
    const collected = await run(
      given ? { ...options, latents: { dims: [1, 4, 8, 8], data: Float32Array.from(start) } } : options,
    );
    const { data } = collected[collected.length - 1].latents;
    expect(largestDifference(data, latents) / Math.max(...latents.map(Math.abs))).toBeLessThan(1e-3);
  });
});

describe("with more network evaluations than steps", () => {
  // change of C from one call of pipe.unet to the next, by forward hooks on conv2 and proj_out
  it.each(profiles.map((one) => [`${one.solver} ${JSON.stringify(one.config)}`, one] as const))(
    "profile of %s",
    async (_, { solver, config, prompt, seed, timesteps, change }) => {
      const options = { steps, solver, schedulerConfig: config, guidanceScale: guidance_scale };
      const profile = await profileChange(pipeline, { ...options, prompts: [prompt], seeds: [seed] });
      expect(profile.setting.timesteps).toEqual(timesteps);
      expect(profile.setting.num_inference_steps).toBe(steps);
      for (const [id, curve] of Object.entries(change)) {
        const found = profile.values.change?.[id] ?? new Float64Array(0);
        expect(found).toHaveLength(timesteps.length);
        // As in test/runtime/parity.test.ts: C is a difference of float32 tensors.
        curve.forEach((value, index) =>
          expect(Math.abs(found[index] - value), `${id} ${index}`).toBeLessThanOrEqual(0.005 * value + 1e-6),
        );
      }

      const schedule = threshold(profile, { delta: 0.2 });
      expect(schedule.timesteps).toEqual(timesteps);
      const caching = cachedRun(schedule);
      const seen: number[] = [];
      const watch = hook("conv_out", ({ step, timestep }) => {
        seen.push(step);
        expect(timestep).toBe(timesteps[step]);
      });
      const collected = await run({ ...options, prompt, seed: [seed], hooks: [caching, watch] });
      const all = [...timesteps.keys()];
      expect(collected.map(({ index }) => index)).toEqual(all);
      expect(collected.every(({ total }) => total === timesteps.length)).toBe(true);
      expect(collected.map(({ timestep }) => timestep)).toEqual(timesteps);
      expect(seen).toEqual(all);
      for (const [id, evaluations] of Object.entries(schedule.blocks))
        expect(caching.computedAt.get(id)).toEqual(evaluations);
    },
  );
});

describe("schedulerConfig", () => {
  it("refuses what no solver knows, and lets keys of other classes pass", () => {
    const plan = (schedulerConfig: Record<string, unknown>) =>
      planSampling(pipeline, { prompt: "", steps, solver: "unipc", schedulerConfig });
    expect(() => plan({ use_karas_sigmas: true })).toThrow(ArgumentError);
    expect(() => plan({ use_karas_sigmas: true })).toThrow(
      /use_karas_sigmas: no solver has this key.*use_karras_sigmas/,
    );
    expect(plan({ use_karras_sigmas: true, skip_prk_steps: true }).solver.config).toMatchObject({
      use_karras_sigmas: true,
    });
  });
});
