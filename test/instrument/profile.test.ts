/** Profiles: interrupted and resumed, merged, refused, read back. The values themselves: test/runtime/parity.test.ts. */
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { sample } from "../../src/diffusion/sample.js";
import { InterruptedError } from "../../src/errors.js";
import { changeMeter } from "../../src/instrument/change/change.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import { changeMemoryBytes, profileChange } from "../../src/instrument/profile/profileChange.js";
import { loadProfile, mergeProfiles, saveProfile } from "../../src/instrument/profile/profileFile.js";
import type { Profile } from "../../src/instrument/profile/profile.js";
import { summarise } from "../../src/instrument/profile/statistics.js";
import { selectTrajectories } from "../../src/instrument/profile/trajectories.js";
import { openSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { VERSION } from "../../src/version.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-profile-"));
const options = {
  prompts: ["red apple", "blue book", "tree"],
  seeds: [0, 1],
  steps: 5,
  solver: "ddim" as const,
  batch: 2,
};
let pipeline: Pipeline;
let whole: Profile;

beforeAll(async () => {
  pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
  whole = await profileChange(pipeline, options);
});
afterAll(async () => {
  await pipeline.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe("a profile", () => {
  it("resumes to the same values, bit for bit, wherever it was interrupted", async () => {
    for (const evaluations of [3, 12, 25]) {
      const file = join(folder, `interrupted-${evaluations}.safetensors`);
      const controller = new AbortController();
      const interrupted = profileChange(pipeline, {
        ...options,
        file,
        signal: controller.signal,
        onProgress: (done) => void (done >= evaluations && controller.abort()),
      });
      await expect(interrupted).rejects.toBeInstanceOf(InterruptedError);
      expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
      const resumed = await profileChange(pipeline, { ...options, file });
      expect(resumed.trajectories).toEqual(whole.trajectories);
      expect(resumed.values).toEqual(whole.values);
    }
  });

  it("is read back as it was written", async () => {
    const file = join(folder, "whole.safetensors");
    await saveProfile(file, whole);
    expect(await loadProfile(file)).toEqual(whole);
  });

  it("takes lists: a text would be one of its letters", async () => {
    const of = (given: object): Promise<Profile> => profileChange(pipeline, { ...options, ...given });
    await expect(of({ prompts: "red apple" })).rejects.toThrow(/^prompts: expected a list, found a string/);
    await expect(of({ seeds: 3 })).rejects.toThrow(/^seeds: expected a list, found a number/);
  });

  it("with NaN in it gives no schedule", () => {
    const [id] = Object.keys(whole.values.change ?? {});
    const spoilt = structuredClone(whole);
    spoilt.values.change?.[id].fill(NaN, 1, 2);
    expect(() => summarise(spoilt)).toThrow(`profile: change of ${id}: expected numbers, found NaN`);
  });

  it("knows before it samples that its file cannot be written, or not read again", async () => {
    mkdirSync(join(folder, "a folder"));
    writeFileSync(join(folder, "a file"), "");
    for (const file of [join(folder, "a folder"), join(folder, "a file", "p.safetensors"), "/dev/null", ""]) {
      const onProgress = vi.fn();
      await expect(profileChange(pipeline, { ...options, file, onProgress })).rejects.toThrow(
        /expected a file that can be written, found/,
      );
      expect(onProgress).not.toHaveBeenCalled();
    }
  });

  it("merges with others of the same setting, each trajectory once", async () => {
    const first = await profileChange(pipeline, { ...options, prompts: options.prompts.slice(0, 2) });
    const merged = mergeProfiles([first, whole]);
    expect(merged.trajectories).toEqual(whole.trajectories);
    expect(merged.values).toEqual(whole.values);
  });

  it("refuses to merge with, or to go on with, another setting", async () => {
    const other = await profileChange(pipeline, { ...options, prompts: ["tree"], seeds: [0], guidanceScale: 3 });
    expect(() => mergeProfiles([whole, other])).toThrow(/different guidance_scale: 5 and 3/);
    const file = join(folder, "other.safetensors");
    await saveProfile(file, other);
    const before = readFileSync(file);
    await expect(profileChange(pipeline, { ...options, file })).rejects.toThrow(/other\.safetensors.*guidance_scale/);
    expect(readFileSync(file)).toEqual(before);
  });

  it("has change 0 and cosine 1 at the first step, and cosine within −1…1", () => {
    const { change, cosine } = whole.values;
    for (const { id } of whole.blocks) {
      for (let row = 0; row < 6; row++) {
        expect(change?.[id][row * 5]).toBe(0);
        expect(cosine?.[id][row * 5]).toBe(1);
      }
      expect(cosine?.[id].every((value) => value <= 1 + 1e-6 && value >= -1 - 1e-6)).toBe(true);
    }
  });

  it("has the mean and deviation of its trajectories", () => {
    const two: Profile = {
      ...whole,
      trajectories: whole.trajectories.slice(0, 2),
      blocks: [whole.blocks[0]],
      setting: { ...whole.setting, timesteps: [1, 2] },
      values: { change: { [whole.blocks[0].id]: Float64Array.of(0, 1, 0, 3) } },
    };
    const [{ mean, standardDeviation }] = summarise(two);
    expect(Array.from(mean)).toEqual([0, 2]);
    expect(standardDeviation[1]).toBeCloseTo(Math.SQRT2, 12);
  });

  it("is refused by name where the file is no profile", async () => {
    const file = join(folder, "text.safetensors");
    writeFileSync(file, "no safetensors at all");
    await expect(loadProfile(file)).rejects.toThrow(/text\.safetensors/);
    const model = fileURLToPath(
      new URL("../../models/fluent-ldm/vae/diffusion_pytorch_model.safetensors", import.meta.url),
    );
    await expect(loadProfile(model)).rejects.toThrow(/__metadata__\.format/);
  });

  it("keeps a user's own metadata out of the way; is refused where it holds NaN or no trajectory", async () => {
    const file = join(folder, "noted.safetensors");
    await saveProfile(file, whole);
    const source = await openSafetensors(file);
    const tensors = new Map(
      await Promise.all(
        [...source.tensors].map(
          async ([name, { dims }]) =>
            [
              name,
              { dtype: "F64" as const, dims, data: new Float64Array((await source.readRaw(name)).buffer) },
            ] as const,
        ),
      ),
    );
    const { metadata } = source;
    await source.close();
    await writeSafetensors(file, tensors, { ...metadata, note: "hello" });
    expect(await loadProfile(file)).toEqual(whole);
    const name = `change/${whole.blocks[1].id}`;
    const { data } = tensors.get(name)!;
    data[3] = NaN;
    await writeSafetensors(file, tensors, metadata);
    await expect(loadProfile(file)).rejects.toThrow(`noted.safetensors: ${name}: expected numbers, found NaN`);
    await writeSafetensors(file, tensors, { ...metadata, trajectories: "[]" });
    await expect(loadProfile(file)).rejects.toThrow(/__metadata__\.trajectories/);
  });

  it("says where it was measured, each place once; not merged with one of another precision", () => {
    const rest = selectTrajectories(whole, [1, 2]);
    const [first, second] = [selectTrajectories(whole, [0]), { ...rest, device: "cuda" }];
    expect(whole).toMatchObject({ device: "cpu", precision: "float32" });
    expect(mergeProfiles([first, second, { ...first, device: "cuda, cpu" }])).toMatchObject({
      device: "cpu, cuda",
      precision: "float32",
      trajectories: whole.trajectories.slice(0, 3),
    });
    // One that is only begun was measured nowhere.
    expect(
      mergeProfiles([
        { ...selectTrajectories(whole, []), device: "here" },
        { ...rest, precision: "float16" },
      ]),
    ).toMatchObject({ device: "cpu", precision: "float16" });
    expect(() => mergeProfiles([first, { ...rest, precision: "float16" }])).toThrow(
      /different precision: float32 and float16/,
    );
  });

  it("does not go on in another precision", async () => {
    const file = join(folder, "half.safetensors");
    await saveProfile(file, { ...selectTrajectories(whole, [0]), precision: "float16" });
    await expect(profileChange(pipeline, { ...options, file })).rejects.toThrow(
      /half\.safetensors: holds a profile that was measured in float16, and this is float32/,
    );
  });

  it("measures the layer blocks alone while another hook looks inside the transformers", async () => {
    const seen = new Set<string>();
    const meter = changeMeter(pipeline, (id) => void seen.add(id));
    for await (const _ of sample(pipeline, {
      prompt: "a",
      steps: 2,
      solver: "ddim",
      hooks: [hook("**.attn1", () => undefined), meter],
    }));
    meter.dispose();
    expect([...seen].sort()).toEqual(pipeline.network.blocks.map(({ id }) => id).sort());
  });
});

it("the version is that of package.json", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect(VERSION).toBe(version);
});

describe("change between all pairs of steps", () => {
  const paired = { ...options, prompts: ["red apple", "tree"], seeds: [0], pairWindow: 3 };
  let profile: Profile;
  beforeAll(async () => {
    profile = await profileChange(pipeline, paired);
  });

  it("is ‖C(t) − C(t − k)‖₁ ÷ ‖C(t)‖₁ of the recorded branches", async () => {
    const recorded = new Map<string, Float32Array[]>();
    const prompt = ["red apple", "tree"];
    const record = hook(
      "all",
      ({ id, branch }) => void recorded.set(id, [...(recorded.get(id) ?? []), branch.data.slice()]),
    );
    for await (const _ of sample(pipeline, { prompt, seed: [0, 0], steps: 5, solver: "ddim", hooks: [record] }));
    for (const [id, branches] of recorded) {
      const rowLength = branches[0].length / 4;
      for (const image of [0, 1]) {
        // with guidance an image has a row in each half
        const at = (step: number) =>
          [image, image + 2].flatMap((row) => [...branches[step].subarray(row * rowLength, (row + 1) * rowLength)]);
        for (let step = 0; step < 5; step++) {
          const expected = [1, 2, 3].map((age) => {
            if (age > step) return 0;
            const [now, then] = [at(step), at(step - age)];
            return (
              now.reduce((sum, value, index) => sum + Math.abs(value - then[index]), 0) /
              now.reduce((sum, value) => sum + Math.abs(value), 0)
            );
          });
          const entry = (image * 5 + step) * 3;
          const found = [...(profile.pairs?.change[id].subarray(entry, entry + 3) ?? [])];
          found.forEach((value, index) => expect(value).toBeCloseTo(expected[index], 5));
          expect(found[0]).toBe(profile.values.change?.[id][image * 5 + step]);
        }
      }
    }
    expect(recorded.size).toBe(profile.blocks.length);
  });

  it("leaves the change from step to step as it was, and survives saving, resuming, merging", async () => {
    const file = join(folder, "paired.safetensors");
    const half = await profileChange(pipeline, { ...paired, prompts: ["red apple"], file });
    expect((await loadProfile(file)).pairs).toEqual(half.pairs);
    const resumed = await profileChange(pipeline, { ...paired, batch: 1, file });
    expect((await loadProfile(file)).pairs).toEqual(resumed.pairs);
    const [first, second] = [half, await profileChange(pipeline, { ...paired, batch: 1, prompts: ["tree"] })];
    expect(resumed.pairs).toEqual(mergeProfiles([first, second]).pairs);
    await expect(profileChange(pipeline, { ...paired, pairWindow: undefined, file })).rejects.toThrow(
      /window of change between pairs of steps: none and 3/,
    );
    await expect(profileChange(pipeline, { ...paired, pairWindow: 0 })).rejects.toThrow(
      /pairWindow: expected an integer of 1 or more/,
    );
  });

  it("keeps as many bytes as counted beforehand", async () => {
    const meter = changeMeter(pipeline, () => undefined, { pairWindow: 3 });
    for await (const _ of sample(pipeline, { prompt: ["a", "b"], steps: 5, solver: "ddim", hooks: [meter] }));
    meter.dispose();
    expect(meter.peakBytes).toBe(changeMemoryBytes(pipeline, { ...options, batch: 2, pairWindow: 3 }));
  });
});
