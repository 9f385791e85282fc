import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TorchGenerator } from "../../src/diffusion/noise.js";
import { alphasCumprod } from "../../src/diffusion/noiseSchedule.js";
import type { NoiseScheduleConfig } from "../../src/diffusion/noiseSchedule.js";
import { correctOutdatedConfig, createSolver, solverNames, solverOfScheduler } from "../../src/diffusion/solvers/index.js";
import type { Solver, SolverName, SolverStep } from "../../src/diffusion/solvers/index.js";
import { ArgumentError, InvalidFileError, UnsupportedError } from "../../src/errors.js";
import type { FloatTensor } from "../../src/models/tensor.js";
import { largestDifference } from "./largestDifference.js";

type Config = Record<string, unknown>;

interface Sampling {
  solver: SolverName;
  config: Config;
  steps: number;
  eta?: number;
  seeds?: number[];
  /** Index into the fixture's table of timestep lists. */
  timesteps: number;
  originalMiddle: number[];
  original: number[];
  latents: number[];
}

interface Samplings {
  dims: number[];
  start: number[];
  timesteps: number[][];
  cases: Sampling[];
}

function read<Fixture>(name: string): Fixture {
  return JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8")) as Fixture;
}

/** `network` of test/fixtures/solvers.py: 0.5 * torch.sin(2 * latents) + 0.1 * timestep / 1000 */
const network = (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
  const offset = Math.fround((0.1 * timestep) / 1000);
  const data = latents.data.map((value) => Math.fround(0.5 * Math.fround(Math.sin(2 * value))) + offset);
  return Promise.resolve({ dims: latents.dims, data });
};

async function collect(steps: AsyncIterable<SolverStep>): Promise<SolverStep[]> {
  const collected: SolverStep[] = [];
  for await (const step of steps) collected.push(step);
  return collected;
}

function relativeDifference(actual: Float32Array, expected: number[]): number {
  return largestDifference(actual, expected) / Math.max(...expected.map(Math.abs));
}

describe("samplings as diffusers' schedulers make them", () => {
  // scheduler = DDIMScheduler or DPMSolverMultistepScheduler .from_config(config); set_timesteps(steps);
  // latents = scheduler.step(network(latents, t), t, latents, eta=eta, generator=generator).prev_sample
  for (const name of ["solversDdim.json", "solversDpm.json"]) {
    const { dims, start, timesteps, cases } = read<Samplings>(name);
    const latents = { dims, data: Float32Array.from(start) };
    it.each(cases.map((one) => [`${one.solver} ${one.steps} steps eta ${one.eta ?? 0} ${JSON.stringify(one.config)}`, one] as const))(
      "%s",
      async (_, expected) => {
        const solver = createSolver(expected.solver, expected.config, expected.steps);
        expect(solver.timesteps).toEqual(timesteps[expected.timesteps]);
        const generators = expected.seeds?.map((seed) => new TorchGenerator(seed));
        const steps = await collect(solver.sample(network, latents, { eta: expected.eta, generator: generators }));

        expect(steps.map((step) => step.timestep)).toEqual(solver.timesteps);
        expect(steps.map((step) => step.index)).toEqual(solver.timesteps.map((_timestep, index) => index));
        const middle = steps[Math.floor(steps.length / 2)];
        const last = steps[steps.length - 1];
        expect(relativeDifference(middle.predictedOriginal.data, expected.originalMiddle)).toBeLessThan(1e-5);
        expect(relativeDifference(last.predictedOriginal.data, expected.original)).toBeLessThan(1e-5);
        expect(relativeDifference(last.latents.data, expected.latents)).toBeLessThan(1e-5);
      },
    );
  }
});

interface Configs {
  configs: { solver: SolverName; config: Config; resolved: Config }[];
  outdated: { solver: SolverName; config: Config; resolved: Config }[];
  digests: { solver: SolverName; spacing: string; trainSteps: number; offset: number; sha256: string }[];
  alphas: { config: Config; at: number[]; values: number[] }[];
}

const { configs, outdated, digests, alphas } = read<Configs>("solverConfigs.json");

describe("from_config", () => {
  // CLASS.from_config(config).config, the keys of CLASS.__init__
  it.each(configs)("$solver of $config", ({ solver, config, resolved }) => {
    const ours = createSolver(solver, config, 7).config;
    expect(ours).toEqual(resolved);
    expect(JSON.parse(JSON.stringify(ours))).toEqual(resolved);
  });

  it("reads a lambda_min_clipped of minus infinity however it was written", () => {
    for (const lambda of [null, -Infinity, "-Infinity", "-inf"]) {
      expect(createSolver("dpmsolver++", { lambda_min_clipped: lambda }, 7).config.lambda_min_clipped).toBe("-Infinity");
    }
  });
});

describe("correctOutdatedConfig", () => {
  // StableDiffusionPipeline(scheduler=…).scheduler.config, or CLASS.from_config of it where that is another class
  it.each(outdated)("$solver of $config", ({ solver, config, resolved }) => {
    expect(createSolver(solver, correctOutdatedConfig(config, solver), 7).config).toMatchObject(resolved);
  });
});

describe("timesteps", () => {
  // CLASS(timestep_spacing=…, num_train_timesteps=…, steps_offset=…).set_timesteps(n).timesteps for n = 1 … train − 1
  it.each(digests)("$solver $spacing of $trainSteps, offset $offset, every step count", (expected) => {
    const config = { timestep_spacing: expected.spacing, num_train_timesteps: expected.trainSteps, steps_offset: expected.offset };
    const lines = Array.from({ length: expected.trainSteps - 1 }, (_, i) =>
      createSolver(expected.solver, config, i + 1).timesteps.join(","),
    );
    expect(createHash("sha256").update(lines.join("\n")).digest("hex")).toBe(expected.sha256);
  });
});

describe("alphas_cumprod", () => {
  // DDIMScheduler.from_config(config).alphas_cumprod[at], float32
  it.each(alphas)("$config", ({ config, at, values }) => {
    const resolved = createSolver("ddim", { ...config, prediction_type: "sample" }, 7).config;
    const computed = alphasCumprod(resolved as unknown as NoiseScheduleConfig);
    at.forEach((timestep, i) => expect(Math.abs(computed[timestep] - values[i])).toBeLessThanOrEqual(1e-6 * values[i]));
  });
});

describe("what cannot be done is refused by name", () => {
  it.each([
    ["ddim", { beta_schedule: "sigmoid" }, /beta_schedule/],
    ["ddim", { prediction_type: "flow_prediction" }, /prediction_type/],
    ["ddim", { num_train_timesteps: 0 }, /num_train_timesteps/],
    ["ddim", { num_train_timesteps: 1e12 }, /num_train_timesteps/],
    ["ddim", { beta_start: "0.1" }, /beta_start/],
    ["ddim", { trained_betas: [0.1, null] }, /trained_betas\.1/],
    ["ddim", { timestep_spacing: null }, /timestep_spacing/],
    ["dpmsolver++", { solver_order: 4 }, /solver_order/],
    ["dpmsolver++", { algorithm_type: "dpmsolver" }, /final_sigmas_type.*sigma_min/],
  ] as const)("%s %j", (solver, config, message) => {
    expect(() => createSolver(solver, config, 7)).toThrow(InvalidFileError);
    expect(() => createSolver(solver, config, 7)).toThrow(message);
  });

  it.each([
    [{ use_karras_sigmas: true }, /use_karras_sigmas/],
    [{ use_exponential_sigmas: true }, /use_exponential_sigmas/],
    [{ use_beta_sigmas: true }, /use_beta_sigmas/],
    [{ use_flow_sigmas: true }, /use_flow_sigmas/],
    [{ prediction_type: "flow_prediction" }, /prediction_type/],
    [{ variance_type: "learned_range" }, /variance_type/],
    [{ algorithm_type: "sde-dpmsolver", solver_order: 3, final_sigmas_type: "sigma_min" }, /solver_order/],
  ])("dpmsolver++ %j", (config, message) => {
    expect(() => createSolver("dpmsolver++", config, 7)).toThrow(UnsupportedError);
    expect(() => createSolver("dpmsolver++", config, 7)).toThrow(message);
  });

  it.each([0, -1, 2.5, Number.NaN, Infinity])("%s steps", (steps) => {
    for (const name of solverNames) expect(() => createSolver(name, {}, steps)).toThrow(ArgumentError);
  });

  it("more steps than training timesteps", () => {
    for (const name of solverNames) expect(() => createSolver(name, {}, 1001)).toThrow(/num_train_timesteps/);
  });

  it("a leading spacing that begins beyond the last training timestep", () => {
    expect(() => createSolver("ddim", { steps_offset: 1 }, 1000)).toThrow(/steps_offset/);
  });

  it("step counts that begin with one timestep twice", () => {
    expect(() => createSolver("dpmsolver++", { timestep_spacing: "leading" }, 1000)).toThrow(ArgumentError);
  });

  it("a lambda_min_clipped that clips everything", () => {
    expect(() => createSolver("dpmsolver++", { lambda_min_clipped: 100 }, 7)).toThrow(/lambda_min_clipped/);
  });

  it("a solver that does not exist", () => {
    expect(() => createSolver("toString" as SolverName, {}, 7)).toThrow(/ddim, dpmsolver/);
  });

  it("trained_betas of another length than num_train_timesteps", () => {
    expect(() => createSolver("ddim", { trained_betas: [0.1, 0.2] }, 1)).toThrow(ArgumentError);
  });

  it("predicting the original from pure noise", () => {
    const config = { rescale_betas_zero_snr: true, timestep_spacing: "trailing" };
    expect(() => createSolver("ddim", config, 7)).toThrow(/rescale_betas_zero_snr/);
  });

  it("drawing noise without a generator", async () => {
    const latents = new TorchGenerator(0).randn([1, 1, 2, 2]);
    const first = (solver: Solver, eta?: number): Promise<unknown> => solver.sample(network, latents, { eta }).next();
    await expect(first(createSolver("ddim", {}, 3), 0.5)).rejects.toThrow(ArgumentError);
    await expect(first(createSolver("ddim", {}, 3), -1)).rejects.toThrow(/eta/);
    await expect(first(createSolver("dpmsolver++", { algorithm_type: "sde-dpmsolver++" }, 3))).rejects.toThrow(ArgumentError);
  });

  it("a scheduler class without a solver", () => {
    expect(solverOfScheduler("DDIMScheduler")).toBe("ddim");
    expect(solverOfScheduler("DPMSolverMultistepScheduler")).toBe("dpmsolver++");
    expect(() => solverOfScheduler("PNDMScheduler")).toThrow(/PNDMScheduler.*--solver ddim/);
  });
});

describe("a sampling", () => {
  it("leaves the latents it starts from as they are, and each step's own", async () => {
    const latents = new TorchGenerator(0).randn([1, 4, 2, 2]);
    for (const name of solverNames) {
      const before = latents.data.slice();
      const steps = await collect(createSolver(name, {}, 5).sample(network, latents, {}));
      expect(latents.data).toEqual(before);
      expect(new Set(steps.map((step) => step.latents.data)).size).toBe(5);
    }
  });

  it("runs the network only as its steps are asked for", async () => {
    let evaluations = 0;
    const counted = (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
      evaluations += 1;
      return network(latents, timestep);
    };
    for await (const step of createSolver("ddim", {}, 20).sample(counted, new TorchGenerator(0).randn([1, 4, 2, 2]), {})) {
      if (step.index === 2) break;
    }
    expect(evaluations).toBe(3);
  });
});
