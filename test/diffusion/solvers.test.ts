import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TorchGenerator } from "../../src/numerics/noise.js";
import { alphasCumprod } from "../../src/diffusion/noiseSchedule.js";
import type { NoiseScheduleConfig } from "../../src/diffusion/noiseSchedule.js";
import {
  correctOutdatedConfig,
  createSolver,
  solverNames,
  schedulerClassOf,
  solverOfScheduler,
} from "../../src/diffusion/solvers/index.js";
import type { Solver, SolverName, SolverStep } from "../../src/diffusion/solvers/index.js";
import { ArgumentError, InvalidFileError, UnsupportedError } from "../../src/errors.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";
import { largestDifference } from "../numerics/largestDifference.js";

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

/** `network` of test/fixtures/solvers.py: latents / (1 + torch.abs(2 * latents)) + 0.1 * timestep / 1000 */
const network = (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
  const offset = Math.fround((0.1 * timestep) / 1000);
  const data = latents.data.map((value) => Math.fround(value / Math.fround(1 + Math.abs(2 * value))) + offset);
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

/**
 * Latents x_0 + σ ε in float32 hold x_0 to σ 2^−24, which at a zero terminal SNR, where σ is 4096, is what an error of
 * one bit anywhere makes; and torch's vectorized square root, of which that noise schedule is made, is not exact to the last bit.
 */
function toleranceOf(config: Config, { initNoiseSigma }: Solver): number {
  return config.rescale_betas_zero_snr === true ? Math.max(1e-5, initNoiseSigma * 2 ** -24) : 1e-5;
}

/** NumPy's float32 logarithm, from which fractional timesteps follow, differs in its last bit from CPU to CPU: see timestepAt. */
const FRACTION_OF_TIMESTEP = 1e-4;

function expectTimesteps(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((timestep, index) => {
    if (Number.isInteger(expected[index])) expect(timestep).toBe(expected[index]);
    else expect(Math.abs(timestep - expected[index])).toBeLessThanOrEqual(FRACTION_OF_TIMESTEP);
  });
}

describe("samplings as diffusers' schedulers make them", () => {
  // scheduler = CLASS.from_config(config); set_timesteps(steps); latents = start * scheduler.init_noise_sigma;
  // output = network(scheduler.scale_model_input(latents, t), t);
  // latents = scheduler.step(output, t, latents, eta=eta, generator=generator).prev_sample
  for (const name of [
    "solversDdim.json",
    "solversDpm.json",
    "solversEuler.json",
    "solversPndm.json",
    "solversLcm.json",
    "solversSinglestep.json",
    "solversUniPc.json",
  ]) {
    const { dims, start, timesteps, cases } = read<Samplings>(name);
    it.each(
      cases.map(
        (one) => [`${one.solver} ${one.steps} steps eta ${one.eta ?? 0} ${JSON.stringify(one.config)}`, one] as const,
      ),
    )("%s", async (_, expected) => {
      const solver = createSolver(expected.solver, expected.config, expected.steps);
      expectTimesteps(solver.timesteps, timesteps[expected.timesteps]);
      const generators = expected.seeds?.map((seed) => new TorchGenerator(seed));
      const latents = { dims, data: Float32Array.from(start, (value) => value * solver.initNoiseSigma) };
      const steps = await collect(solver.sample(network, latents, { eta: expected.eta, generator: generators }));

      expect(steps.map((step) => step.timestep)).toEqual(solver.timesteps);
      expect(steps.map((step) => step.index)).toEqual(solver.timesteps.map((_timestep, index) => index));
      const tolerance = toleranceOf(expected.config, solver);
      const middle = steps[Math.floor(steps.length / 2)];
      const last = steps[steps.length - 1];
      expect(relativeDifference(middle.predictedOriginal.data, expected.originalMiddle)).toBeLessThan(tolerance);
      expect(relativeDifference(last.predictedOriginal.data, expected.original)).toBeLessThan(tolerance);
      expect(relativeDifference(last.latents.data, expected.latents)).toBeLessThan(tolerance);
    });
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
      expect(createSolver("dpmsolver++", { lambda_min_clipped: lambda }, 7).config.lambda_min_clipped).toBe(
        "-Infinity",
      );
    }
  });
});

describe("correctOutdatedConfig", () => {
  // StableDiffusionPipeline(scheduler=…).scheduler.config, or CLASS.from_config of it where that is another class
  it.each(outdated)("$solver of $config", ({ solver, config, resolved }) => {
    expect(
      createSolver(solver, correctOutdatedConfig(config, schedulerClassOf[solver] === config._class_name), 7).config,
    ).toMatchObject(resolved);
  });
});

describe("timesteps", () => {
  // CLASS(timestep_spacing=…, num_train_timesteps=…, steps_offset=…).set_timesteps(n).timesteps for n = 1 … train − 1 − offset
  it.each(digests)("$solver $spacing of $trainSteps, offset $offset, every step count", (expected) => {
    const config = {
      timestep_spacing: expected.spacing,
      num_train_timesteps: expected.trainSteps,
      steps_offset: expected.offset,
      skip_prk_steps: true,
    };
    const lines = Array.from({ length: expected.trainSteps - 1 - expected.offset }, (_, i) =>
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
    [
      "dpmsolver++",
      { use_karras_sigmas: true, use_beta_sigmas: true },
      /use_karras_sigmas, use_beta_sigmas.*at most one/,
    ],
    ["dpmsolver++", { use_karras_sigmas: "yes" }, /use_karras_sigmas/],
    ["singlestep-dpmsolver++", { algorithm_type: "sde-dpmsolver", final_sigmas_type: "sigma_min" }, /algorithm_type/],
    ["singlestep-dpmsolver++", { algorithm_type: "dpmsolver" }, /final_sigmas_type.*sigma_min/],
    ["unipc", { predict_x0: false }, /final_sigmas_type.*predict_x0/],
    ["unipc", { solver_type: "bh1" }, /final_sigmas_type.*solver_type "bh1"/],
    ["unipc", { lower_order_final: false }, /final_sigmas_type.*lower_order_final/],
    ["unipc", { solver_order: 0 }, /solver_order/],
    ["unipc", { solver_p: { _class_name: "DDIMScheduler" } }, /solver_p/],
    ["unipc", { disable_corrector: 3 }, /disable_corrector/],
    ["euler", { prediction_type: "flow_prediction" }, /prediction_type/],
    ["euler", { interpolation_type: "cubic" }, /interpolation_type/],
    ["euler", { timestep_type: "random" }, /timestep_type/],
    ["euler", { sigma_min: 0, use_karras_sigmas: true }, /sigma_min/],
    ["euler", { use_exponential_sigmas: true, use_karras_sigmas: true }, /use_karras_sigmas, use_exponential_sigmas/],
    ["euler-ancestral", { prediction_type: "sample" }, /prediction_type/],
    ["heun", { beta_schedule: "laplace" }, /beta_schedule/],
    ["heun", { clip_sample: 1 }, /clip_sample/],
    ["pndm", { prediction_type: "sample" }, /prediction_type/],
    ["pndm", { skip_prk_steps: null }, /skip_prk_steps/],
    ["lcm", { original_inference_steps: 0 }, /original_inference_steps/],
    ["lcm", { timestep_scaling: "10" }, /timestep_scaling/],
  ] as const)("%s %j", (solver, config, message) => {
    expect(() => createSolver(solver, config, 7)).toThrow(InvalidFileError);
    expect(() => createSolver(solver, config, 7)).toThrow(message);
  });

  it.each([
    ["dpmsolver++", { use_flow_sigmas: true }, /use_flow_sigmas: true.*dpmsolver\+\+/],
    ["dpmsolver++", { prediction_type: "flow_prediction" }, /prediction_type: "flow_prediction"/],
    ["dpmsolver++", { variance_type: "learned_range" }, /variance_type: "learned_range"/],
    [
      "dpmsolver++",
      { algorithm_type: "sde-dpmsolver", solver_order: 3, final_sigmas_type: "sigma_min" },
      /solver_order: 3/,
    ],
    ["singlestep-dpmsolver++", { use_flow_sigmas: true }, /use_flow_sigmas: true.*singlestep/],
    ["singlestep-dpmsolver++", { variance_type: "learned" }, /variance_type: "learned"/],
    [
      "singlestep-dpmsolver++",
      { algorithm_type: "dpmsolver", thresholding: true, final_sigmas_type: "sigma_min" },
      /thresholding: true/,
    ],
    ["unipc", { use_flow_sigmas: true }, /use_flow_sigmas: true.*unipc/],
    ["unipc", { prediction_type: "flow_prediction" }, /prediction_type/],
    ["unipc", { use_dynamic_shifting: true }, /use_dynamic_shifting: true/],
    ["unipc", { shift_terminal: 0.1 }, /shift_terminal: 0\.1/],
  ] as const)("%s %j", (solver, config, message) => {
    expect(() => createSolver(solver, config, 7)).toThrow(UnsupportedError);
    expect(() => createSolver(solver, config, 7)).toThrow(message);
  });

  it.each([0, -1, 2.5, Number.NaN, Infinity])("%s steps", (steps) => {
    for (const name of solverNames) expect(() => createSolver(name, {}, steps)).toThrow(ArgumentError);
  });

  it("more steps than training timesteps", () => {
    for (const name of solverNames) expect(() => createSolver(name, {}, 1001)).toThrow(/num_train_timesteps/);
  });

  it("fewer steps than PNDM's Runge–Kutta start takes", () => {
    expect(() => createSolver("pndm", {}, 3)).toThrow(/steps.*needs 4, got 3.*skip_prk_steps/);
    expect(createSolver("pndm", {}, 4).timesteps).toHaveLength(13);
  });

  it("more steps than a latent consistency model was distilled from", () => {
    expect(() => createSolver("lcm", {}, 51)).toThrow(/steps: must be at most original_inference_steps \(50\), got 51/);
    expect(() => createSolver("lcm", { original_inference_steps: 2000 }, 4)).toThrow(
      /original_inference_steps.*1000.*2000/,
    );
  });

  it("a leading spacing that begins beyond the last training timestep", () => {
    expect(() => createSolver("ddim", { steps_offset: 1 }, 1000)).toThrow(/steps_offset/);
    expect(() => createSolver("pndm", { steps_offset: 1, skip_prk_steps: true }, 1000)).toThrow(/steps_offset/);
  });

  it("step counts that begin with one noise level twice", () => {
    for (const name of ["dpmsolver++", "unipc"] as const)
      expect(() => createSolver(name, { timestep_spacing: "leading" }, 1000)).toThrow(
        /1000 steps begin with the noise level/,
      );
  });

  it("a lambda_min_clipped that clips everything", () => {
    expect(() => createSolver("dpmsolver++", { lambda_min_clipped: 100 }, 7)).toThrow(/lambda_min_clipped/);
  });

  it("a solver that does not exist", () => {
    expect(() => createSolver("toString" as SolverName, {}, 7)).toThrow(/must be one of ddim, .*dpmsolver/);
  });

  it("trained_betas of another length than num_train_timesteps", () => {
    expect(() => createSolver("ddim", { trained_betas: [0.1, 0.2] }, 1)).toThrow(ArgumentError);
  });

  it("predicting the original from pure noise", () => {
    const config = { rescale_betas_zero_snr: true, timestep_spacing: "trailing" };
    for (const name of ["ddim", "lcm"] as const)
      expect(() => createSolver(name, config, 7)).toThrow(/rescale_betas_zero_snr/);
  });

  it("drawing noise without a generator", async () => {
    const latents = new TorchGenerator(0).randn([1, 1, 2, 2]);
    const first = (solver: Solver, eta?: number): Promise<unknown> => solver.sample(network, latents, { eta }).next();
    await expect(first(createSolver("ddim", {}, 3), 0.5)).rejects.toThrow(ArgumentError);
    await expect(first(createSolver("ddim", {}, 3), -1)).rejects.toThrow(/eta/);
    await expect(first(createSolver("dpmsolver++", { algorithm_type: "sde-dpmsolver++" }, 3))).rejects.toThrow(
      /sde-dpmsolver\+\+ draws noise/,
    );
    await expect(
      first(createSolver("singlestep-dpmsolver++", { algorithm_type: "sde-dpmsolver++" }, 3)),
    ).rejects.toThrow(/draws noise/);
    for (const name of ["sde-dpmsolver++", "euler-ancestral", "lcm"] as const)
      await expect(first(createSolver(name, {}, 3))).rejects.toThrow(/draws noise/);
  });

  it("a scheduler class without a solver", () => {
    expect(solverOfScheduler("DDIMScheduler")).toBe("ddim");
    expect(solverOfScheduler("DPMSolverMultistepScheduler")).toBe("dpmsolver++");
    expect(solverOfScheduler("UniPCMultistepScheduler")).toBe("unipc");
    expect(() => solverOfScheduler("DEISMultistepScheduler")).toThrow(/DEISMultistepScheduler.*--solver ddim/);
    expect(() => solverOfScheduler("DPMSolverSDEScheduler")).toThrow(
      /DPMSolverSDEScheduler.*torchsde.*--solver sde-dpmsolver\+\+/,
    );
    expect(() => solverOfScheduler("toString")).toThrow(UnsupportedError);
  });
});

describe("a sampling", () => {
  it("leaves the latents it starts from as they are, and each step's own", async () => {
    const latents = new TorchGenerator(0).randn([1, 4, 2, 2]);
    for (const name of solverNames) {
      const before = latents.data.slice();
      const solver = createSolver(name, {}, 5);
      const steps = await collect(solver.sample(network, latents, { generator: new TorchGenerator(0) }));
      expect(latents.data).toEqual(before);
      expect(new Set(steps.map((step) => step.latents.data)).size).toBe(solver.timesteps.length);
    }
  });

  it("runs the network only as its steps are asked for", async () => {
    let evaluations = 0;
    const counted = (latents: FloatTensor, timestep: number): Promise<FloatTensor> => {
      evaluations += 1;
      return network(latents, timestep);
    };
    for await (const step of createSolver("ddim", {}, 20).sample(
      counted,
      new TorchGenerator(0).randn([1, 4, 2, 2]),
      {},
    )) {
      if (step.index === 2) break;
    }
    expect(evaluations).toBe(3);
  });
});
