/** Recordings, and that Python opens them, profiles and costs with the values that were written, bit for bit. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { measureCosts } from "../../src/caching/costs/costs.js";
import { saveCosts } from "../../src/caching/costs/costsFile.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { ArgumentError } from "../../src/errors.js";
import { profileChange } from "../../src/instrument/profile/profileChange.js";
import { saveProfile } from "../../src/instrument/profile/profileFile.js";
import { recordToDisk, recordToMemory } from "../../src/instrument/hooks/recording.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-recording-"));
const root = fileURLToPath(new URL("../..", import.meta.url));
/** Jupyter's Python, which notebooks/requirements.txt equips; `npm test` sets it up. */
const python = join(root, ".venv", process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
const sampling = { prompt: "red apple", seed: 3, steps: 3, solver: "ddim" as const };
const recorded = {
  blocks: ["*.*.attentions.*", "mid_block.resnets.0", "mid_block.attentions.0.**.attn2"],
  steps: [0, 2],
};
let pipeline: Pipeline;

beforeAll(async () => {
  pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true, force: true });
});

interface PythonView {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: Readonly<
    Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly sha256: string }>
  >;
}

function readInPython(file: string): PythonView {
  const { status, stdout, stderr } = spawnSync(
    python,
    [fileURLToPath(new URL("readSafetensors.py", import.meta.url)), file],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return JSON.parse(stdout) as PythonView;
}

function view(data: Float32Array | Float64Array, shape: readonly number[]): PythonView["tensors"][string] {
  const sha256 = createHash("sha256")
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest("hex");
  return { dtype: data instanceof Float64Array ? "float64" : "float32", shape, sha256 };
}

describe("a recording", () => {
  it("holds the steps asked for; on disk what it holds in memory, and Python reads the same", async () => {
    const memory = recordToMemory(recorded);
    const file = join(folder, "recording.safetensors");
    const disk = await recordToDisk(pipeline, file, sampling, recorded);
    await generate(pipeline, { ...sampling, hooks: [...memory.hooks, ...disk.hooks] });
    await disk.close();
    expect(disk.bytes).toBe(memory.bytes);
    const found = readInPython(file);
    expect(Object.keys(found.tensors)).toHaveLength(2 * (2 + 1 + 1 + 1));
    for (const [name, tensor] of Object.entries(found.tensors)) {
      const slash = name.lastIndexOf("/");
      const kept = memory.get(name.slice(0, slash), Number(name.slice(slash + 1)));
      if (kept === undefined) throw new Error(`${name} is not in memory`);
      expect(tensor, name).toEqual(view(kept.data, kept.dims));
    }
    expect(found.metadata).toMatchObject({
      format: "blockcache-recording",
      value: "branch",
      prompts: JSON.stringify([sampling.prompt]),
    });
  });

  it("keeps to its budget: the last byte is used, none beyond", async () => {
    const whole = recordToMemory(recorded);
    await generate(pipeline, { ...sampling, hooks: whole.hooks });
    const fits = recordToMemory({ ...recorded, budget: whole.bytes });
    await generate(pipeline, { ...sampling, hooks: fits.hooks });
    expect(fits.bytes).toBe(whole.bytes);
    const short = recordToMemory({ ...recorded, budget: whole.bytes - 1 });
    await expect(generate(pipeline, { ...sampling, hooks: short.hooks })).rejects.toThrow(ArgumentError);
    expect(short.bytes).toBeLessThan(whole.bytes);
  });

  it("counts a block once that two patterns name, and one that is recorded anew", async () => {
    const once = recordToMemory({ blocks: ["mid_block.**.*"], steps: [0] });
    await generate(pipeline, { ...sampling, hooks: once.hooks });
    const twice = recordToMemory({ blocks: ["mid_block.**.*", "mid_block.resnets.0"], steps: [0], budget: once.bytes });
    await generate(pipeline, { ...sampling, hooks: twice.hooks });
    await generate(pipeline, { ...sampling, hooks: twice.hooks });
    expect(twice.bytes).toBe(once.bytes);
  });

  it("leaves nothing behind where it is abandoned", async () => {
    const disk = await recordToDisk(pipeline, join(folder, "abandoned.safetensors"), sampling, recorded);
    await disk.abandon();
    expect(readdirSync(folder).filter((name) => name.startsWith("abandoned"))).toEqual([]);
  });
});

describe("Python reads", () => {
  it("a profile: every value, and the setting as JSON", async () => {
    const file = join(folder, "profile.safetensors");
    const profile = await profileChange(pipeline, {
      prompts: ["red apple", "tree"],
      seeds: [0],
      steps: 3,
      solver: "ddim",
    });
    await saveProfile(file, profile);
    const found = readInPython(file);
    for (const [measure, blocks] of Object.entries(profile.values)) {
      for (const [id, data] of Object.entries(blocks))
        expect(found.tensors[`${measure}/${id}`], `${measure}/${id}`).toEqual(view(data, [2, 3]));
    }
    expect(JSON.parse(found.metadata.setting)).toEqual(profile.setting);
    expect(JSON.parse(found.metadata.trajectories)).toEqual(profile.trajectories);
  });

  it("costs: every sample, and the setting as JSON", async () => {
    const file = join(folder, "costs.safetensors");
    const costs = await measureCosts(pipeline, { samples: 2 });
    await saveCosts(file, costs);
    const found = readInPython(file);
    for (const group of ["compute", "reuse"] as const) {
      for (const [id, data] of Object.entries(costs[group]))
        expect(found.tensors[`${group}/${id}`], `${group}/${id}`).toEqual(view(data, [data.length]));
    }
    expect(found.tensors.rest).toEqual(view(costs.rest, [costs.rest.length]));
    expect(JSON.parse(found.metadata.setting)).toEqual(costs.setting);
  });
});
