/** Gradients through a whole cached sampling against PyTorch's autograd. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { provenanceOf } from "../../src/caching/adjustment/adjustment.js";
import type { Adjustment } from "../../src/caching/adjustment/adjustment.js";
import { wholeIteration } from "../../src/caching/adjustment/distilIteration.js";
import { DistilledParameters } from "../../src/caching/adjustment/distilledParameters.js";
import { solverWeights } from "../../src/caching/adjustment/solverWeights.js";
import { hold } from "../../src/caching/run/reuseRule.js";
import { regularSchedule } from "../../src/caching/schedule/regularSchedule.js";
import type { Schedule } from "../../src/caching/schedule/schedule.js";
import { scheduleSampling } from "../../src/caching/schedule/scheduleSampling.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { createSolver } from "../../src/diffusion/solvers/index.js";
import type { SolverName } from "../../src/diffusion/solvers/index.js";
import { NetworkGradients } from "../../src/engine/network/networkGradients.js";
import { liveTensors } from "../../src/engine/tensor.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { SafetensorsFile } from "../../src/files/safetensors.js";

let pipeline: Pipeline;
let gradients: NetworkGradients;
let fixture: SafetensorsFile;

beforeAll(async () => {
  pipeline = await loadPipeline(join("test", "fixtures", "models", "sd1-like"));
  gradients = new NetworkGradients(pipeline.network, () => pipeline.folder.openUNetWeights());
  fixture = await openSafetensors(join("test", "fixtures", "trajectoryGradients.safetensors"));
});
afterAll(async () => {
  await gradients.dispose();
  await pipeline.dispose();
  await fixture.close();
});

test.each(["ddim", "dpmsolver++"] as const)("of the final latents are PyTorch's, by %s", async (solver) => {
  const stated = <T>(key: string): T => JSON.parse(fixture.metadata[key]) as T;
  const [blocks, steps] = [stated<Schedule["blocks"]>("blocks"), stated<number>("steps")];
  const schedule: Schedule = {
    ...(await regularSchedule(pipeline, {
      ...{ steps, solver, interval: 2, kinds: ["transformer"] },
      schedulerConfig: { timestep_spacing: "trailing" },
      guidanceScale: stated<number>("guidance_scale"),
    })),
    blocks,
  };
  const table = async (name: string): Promise<Float32Array> => (await fixture.readFloat32(name)).data;
  const tables = async (id: string): Promise<Adjustment["blocks"][string]> => {
    const [scale, shift] = [await table(`scale/${id}`), await table(`shift/${id}`)];
    return { channels: scale.length / steps, terms: { scale, shift } };
  };
  const adjustment: Adjustment = {
    ...{ schedule: provenanceOf(schedule), reuse: "hold", halves: 1, report: {}, library_version: "0" },
    fit: { method: "made up" },
    blocks: Object.fromEntries(
      await Promise.all(Object.keys(blocks).map(async (id) => [id, await tables(id)] as const)),
    ),
  };
  const trained = new DistilledParameters(adjustment, "table", pipeline.folder.unet);
  const sampling = {
    ...scheduleSampling(schedule),
    ...{ prompt: stated<string[]>("prompts"), seed: stated<number[]>("seeds") },
  };
  const before = liveTensors();
  const found = new Map<string, Float64Array>();
  const student = { pipeline, schedule, reuse: hold, trained, gradients };
  const loss = await wholeIteration(student, sampling, (branches, { evaluation, regressors }) => {
    for (const [{ term, block }, row] of trained.rowGradients(branches, regressors, evaluation)) {
      const whole = found.get(`${term}/${block}`) ?? new Float64Array(steps * row.length);
      whole.set(row, evaluation.index * row.length);
      found.set(`${term}/${block}`, whole);
    }
  });
  expect(liveTensors()).toBe(before);
  const [expected] = await table(`${solver}/loss`);
  expect(Math.abs(loss / expected - 1)).toBeLessThan(1e-4);
  expect(found.size).toBe(2 * Object.keys(blocks).length);
  for (const [name, gradient] of found) {
    const reference = await table(`${solver}/${name}`);
    const size = Math.max(...reference.map(Math.abs));
    const largest = Math.max(...reference.map((value, index) => Math.abs(value - gradient[index])));
    expect(size).toBeGreaterThan(0);
    expect(largest / size, name).toBeLessThan(1e-4);
  }
});

const deterministic: [SolverName, Record<string, unknown>][] = [
  ["ddim", { clip_sample: false }],
  ["pndm", {}],
  ["euler", {}],
  ["heun", {}],
  ["dpmsolver++", { solver_order: 3 }],
  ["dpmsolver++", { prediction_type: "v_prediction" }],
  ["singlestep-dpmsolver++", {}],
  ["unipc", {}],
];

test.each(deterministic)("a solver is its weights: %s %o", async (name, config) => {
  const solver = createSolver(name, { beta_schedule: "scaled_linear", ...config }, 6);
  const { final, given } = await solverWeights(solver);
  const outputs = solver.timesteps.map((_, index) => Math.sin(index + 1));
  const run = async (output: (index: number) => number): Promise<{ seen: number[]; last: number }> => {
    const seen: number[] = [];
    let last = 0;
    const denoise: Parameters<typeof solver.sample>[0] = async ({ dims, data }) => {
      seen.push(data[0]);
      return { dims, data: Float32Array.of(output(seen.length - 1)) };
    };
    for await (const { latents } of solver.sample(denoise, { dims: [1, 1, 1, 1], data: Float32Array.of(0.7) }))
      [last] = latents.data;
    return { seen, last };
  };
  const [alone, whole] = [await run(() => 0), await run((index) => outputs[index])];
  const sum = (weights: Float64Array): number => outputs.reduce((total, output, j) => total + weights[j] * output, 0);
  expect(whole.last).toBeCloseTo(alone.last + sum(final), 4);
  whole.seen.forEach((value, i) => expect(value).toBeCloseTo(alone.seen[i] + sum(given[i]), 4));
});

test.each([
  ["ddim", { clip_sample: true }, /clips or thresholds/],
  ["sde-dpmsolver++", {}, /draw no noise/],
] as [SolverName, Record<string, unknown>, RegExp][])(
  "a solver that is not linear is refused: %s",
  async (name, config, message) => {
    await expect(solverWeights(createSolver(name, { beta_schedule: "scaled_linear", ...config }, 6))).rejects.toThrow(
      message,
    );
  },
);
