/** What of a folder is read, against diffusers and transformers; the fixture is made by test/fixtures/folders.py. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import { sample } from "../../src/diffusion/sample.js";
import type { SolverName } from "../../src/diffusion/solvers/index.js";
import { UnsupportedError } from "../../src/errors.js";
import { writeSafetensors } from "../../src/files/safetensors.js";
import type { OutgoingTensor } from "../../src/files/safetensors.js";
import { openWeights } from "../../src/models/weights.js";
import type { WeightsName } from "../../src/models/weightFiles.js";
import { largestDifference } from "../numerics/largestDifference.js";

type Half = "with" | "without";
const fixture = JSON.parse(readFileSync("test/fixtures/folders.json", "utf8")) as {
  prompt: string;
  seed: number;
  steps: number;
  guidance_scale: number;
  weights: {
    component: string;
    name: WeightsName;
    title: string;
    variant: string | null;
    files: Record<string, [holds: Half | "all", number: number]>;
    indices: Record<string, Record<Half, string>>;
    read: number;
  }[];
  schedulers: { class: string; config: Record<string, unknown>; asked: string | null; latents: number[] }[];
};
const MODEL = join("test", "fixtures", "models", "sd1-like");
const scratch = mkdtempSync(join(tmpdir(), "blockcache-folders-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** A copy of the fixture with another scheduler class and config. */
function withScheduler(schedulerClass: string | null, config: unknown): string {
  const folder = join(mkdtempSync(join(scratch, "scheduler-")), "m");
  cpSync(MODEL, folder, { recursive: true, filter: (path) => !path.endsWith("reference.safetensors") });
  const index = JSON.parse(readFileSync(join(folder, "model_index.json"), "utf8")) as Record<string, unknown>;
  writeFileSync(
    join(folder, "model_index.json"),
    JSON.stringify({ ...index, scheduler: [schedulerClass && "diffusers", schedulerClass] }),
  );
  writeFileSync(join(folder, "scheduler", "scheduler_config.json"), JSON.stringify(config));
  return folder;
}

async function finalLatents(folder: string, solver?: SolverName): Promise<Float32Array> {
  const pipeline = await loadPipeline(folder);
  try {
    const { prompt, seed, steps, guidance_scale: guidanceScale } = fixture;
    let latents = new Float32Array(0);
    for await (const step of sample(pipeline, { prompt, seed, steps, guidanceScale, solver }))
      latents = step.latents.data as typeof latents;
    return latents;
  } finally {
    await pipeline.dispose();
  }
}

describe("weights", () => {
  it.each(fixture.weights)("of $component, $title", async ({ name, variant, files, indices, read }) => {
    const folder = mkdtempSync(join(scratch, "weights-"));
    const tensor = (value: number): OutgoingTensor => ({ dtype: "F32", dims: [1], data: Float32Array.of(value) });
    for (const [file, [holds, number]] of Object.entries(files)) {
      const tensors = new Map<string, OutgoingTensor>();
      if (holds !== "without") tensors.set("marker", tensor(number));
      if (holds !== "with") tensors.set("another", tensor(0));
      await writeSafetensors(join(folder, file), tensors);
    }
    for (const [file, places] of Object.entries(indices))
      writeFileSync(
        join(folder, file),
        JSON.stringify({ metadata: {}, weight_map: { marker: places.with, another: places.without } }),
      );
    const weights = await openWeights(folder, name, variant ?? undefined);
    expect((await weights.read("marker", [1])).data[0]).toBe(read);
    expect([...weights.names()].sort()).toEqual(["another", "marker"]);
    await weights.close();
  });
});

describe("what is no file is not there, as for diffusers, which asks pathlib's is_file", () => {
  it.each([
    ["a link that leads nowhere", (path: string) => symlinkSync("nowhere", path)],
    ["a folder", (path: string) => mkdirSync(path)],
  ])("%s in the place of an index", async (_, make) => {
    const folder = mkdtempSync(join(scratch, "weights-"));
    const single = join(folder, "diffusion_pytorch_model.safetensors");
    await writeSafetensors(single, new Map([["a", { dtype: "F32", dims: [1], data: Float32Array.of(3) }]]));
    make(`${single}.index.json`);
    const weights = await openWeights(folder, "diffusion_pytorch_model");
    expect(weights.files).toEqual([single]);
    await weights.close();
  });
});

describe("the scheduler: its class from model_index.json, its config from scheduler_config.json", () => {
  const solverOf: Record<string, SolverName> = { DDIMScheduler: "ddim", EulerDiscreteScheduler: "euler" };
  it.each(
    fixture.schedulers.map(
      (one) =>
        [`${one.class}, a config of ${String(one.config._class_name)}, asked for ${one.asked ?? "none"}`, one] as const,
    ),
  )("%s", async (_, { class: schedulerClass, config, asked, latents }) => {
    const found = await finalLatents(
      withScheduler(schedulerClass, config),
      asked === null ? undefined : solverOf[asked],
    );
    expect(largestDifference(found, latents) / Math.max(...latents.map(Math.abs))).toBeLessThan(1e-3);
  });

  const { config } = fixture.schedulers[0];
  it.each(["DEISMultistepScheduler", "DPMSolverSDEScheduler", "DDPMScheduler"])(
    "%s is refused by name, and runs as another only where that is asked for",
    async (schedulerClass) => {
      const folder = withScheduler(schedulerClass, config);
      await expect(finalLatents(folder)).rejects.toThrow(UnsupportedError);
      await expect(finalLatents(folder)).rejects.toThrow(
        new RegExp(`model_index\\.json: scheduler: ${schedulerClass}`),
      );
      expect(await finalLatents(folder, "ddim")).toHaveLength(fixture.schedulers[0].latents.length);
    },
  );

  it("none at all is refused, and a config that is no object", async () => {
    await expect(finalLatents(withScheduler(null, config))).rejects.toThrow(/model_index\.json: scheduler = null/);
    await expect(finalLatents(withScheduler("DDIMScheduler", []))).rejects.toThrow(/scheduler_config\.json: expected/);
  });
});
