/** What could not be loaded leaves no session and no open file, and is loaded once its cause is mended. */
import {
  copyFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  truncateSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { latentPreview } from "../../src/diffusion/latentPreview.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { DeviceError, InterruptedError, InvalidFileError } from "../../src/errors.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";
import { describeUNet } from "../../src/graphs/unet.js";
import { openModelFolder } from "../../src/models/folder.js";
import { openSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import type { Weights } from "../../src/models/weights.js";
import { BlockNetwork } from "../../src/engine/network/blockNetwork.js";
import { openDevice } from "../../src/engine/device.js";
import type { Device } from "../../src/engine/device.js";
import { liveGraphs } from "../../src/engine/native/graph.js";
import { Lazy } from "../../src/engine/lazy.js";
import { liveTensors, releaseAll } from "../../src/engine/tensor.js";
import { hook } from "../../src/instrument/hooks/hooks.js";

const models = fileURLToPath(new URL("../fixtures/models", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "blockcache-recovery-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** graphs that were compiled in a test and not released */
let before = 0;
beforeEach(() => void (before = liveGraphs()));
const alive = (): number => liveGraphs() - before;

function copyOf(model: string): string {
  const folder = mkdtempSync(join(scratch, `${model}-`));
  cpSync(join(models, model), folder, { recursive: true });
  return folder;
}

const filesOpen = (folder: string): string[] =>
  readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)].filter((path) => path.startsWith(folder));
    } catch {
      return [];
    }
  });
const onLinux = process.platform === "linux";

describe("a network", () => {
  it("that lacks a tensor of its last stage leaves nothing behind", async () => {
    const folder = copyOf("sd1-like");
    const path = join(folder, "unet", "diffusion_pytorch_model.safetensors");
    const file = await openSafetensors(path);
    const tensors = new Map<string, { dtype: "F32"; dims: readonly number[]; data: Float32Array }>();
    for (const name of file.tensors.keys())
      if (name !== "conv_out.bias") tensors.set(name, { dtype: "F32", ...(await file.readFloat32(name)) });
    await file.close();
    await writeSafetensors(path, tensors);
    await expect(loadPipeline(folder)).rejects.toThrow(/conv_out\.bias: expected \[4\].*found no such tensor/);
    await expect(loadPipeline(folder)).rejects.toThrow(InvalidFileError);
    expect(alive()).toBe(0);
    if (onLinux) expect(filesOpen(folder)).toEqual([]);
  });

  it("whose loading is interrupted leaves nothing behind", async () => {
    const controller = new AbortController();
    const loading = loadPipeline(join(models, "sd1-like"), {
      signal: controller.signal,
      onProgress: (done) => done === 3 && controller.abort(),
    });
    await expect(loading).rejects.toThrow(InterruptedError);
    expect(alive()).toBe(0);
    if (onLinux) expect(filesOpen(models)).toEqual([]);
  });

  it("whose parts could not be compiled compiles them when they are asked for again, and can be disposed of", async () => {
    const { unet, openUNetWeights } = await openModelFolder(join(models, "sd1-like"));
    const device = await openDevice();
    let broken = false;
    const openWeights = async (): Promise<Weights> => {
      const opened = await openUNetWeights();
      return {
        ...opened,
        read: async (name, dims) =>
          broken && name.includes(".ff.") ? Promise.reject(new Error("the disk was gone")) : opened.read(name, dims),
      };
    };
    const network = await BlockNetwork.load(describeUNet(unet), openWeights, device);
    if (onLinux) expect(filesOpen(join(models, "sd1-like"))).toEqual([]);
    const whole = alive();
    const inParts = new Set(network.blocks.filter(({ kind }) => kind === "transformer").map(({ id }) => id));
    const reference = await openSafetensors(join(models, "sd1-like", "reference.safetensors"));
    const inputs = {
      sample: await reference.readFloat32("sample"),
      timestep: 601,
      encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
    };
    await reference.close();
    const expected = await network.forward(inputs);
    broken = true;
    await expect(network.forward(inputs, { inParts })).rejects.toThrow("the disk was gone");
    await expect(network.forward(inputs, { inParts })).rejects.toThrow("the disk was gone");
    broken = false;
    expect((await network.forward(inputs, { inParts })).data).toEqual(expected.data);
    broken = true;
    expect((await network.forward(inputs, { inParts })).data).toEqual(expected.data);
    expect(await network.forward(inputs).then(undefined, (error: Error) => error.message)).toBe("the disk was gone");
    expect(whole).toBeGreaterThan(0);
    await network.dispose();
    expect(alive()).toBe(0);
  });
});

describe.each([
  ["text encoder", "sd1-like", "text_encoder/model.safetensors"],
  ["second text encoder", "xl-like", "text_encoder_2/model.fp16.safetensors"],
  ["autoencoder", "sd1-like", "vae/diffusion_pytorch_model.safetensors"],
])("a %s with a damaged file", (_, model, file) => {
  it("is refused, then loaded when the file is whole", async () => {
    const folder = copyOf(model);
    truncateSync(join(folder, file), readFileSync(join(folder, file)).length - 8);
    const pipeline = await loadPipeline(folder);
    const run = (): Promise<unknown> => generate(pipeline, { prompt: "red apple", steps: 1 });
    await expect(run()).rejects.toThrow(InvalidFileError);
    await expect(run()).rejects.toThrow(/truncated/);
    copyFileSync(join(models, model, file), join(folder, file));
    await run();
    await latentPreview(pipeline);
    await pipeline.dispose();
    expect(alive()).toBe(0);
    if (onLinux) expect(filesOpen(folder)).toEqual([]);
  });

  it("does not keep the rest from being disposed of", async () => {
    const folder = copyOf(model);
    truncateSync(join(folder, file), readFileSync(join(folder, file)).length - 8);
    const pipeline = await loadPipeline(folder);
    await expect(generate(pipeline, { prompt: "red apple", steps: 1 })).rejects.toThrow(InvalidFileError);
    await pipeline.dispose();
    expect(alive()).toBe(0);
  });
});

/** What Run allocates here no machine has: 2⁴⁸ bytes. */
async function askTooMuch({ backend }: Device): Promise<void> {
  const graph = new GraphBuilder("too much", FLOAT32);
  const x = graph.input("x", [1]);
  graph.output("y", graph.node("Expand", [x, graph.integers([2 ** 23, 2 ** 23])]), [2 ** 23, 2 ** 23]);
  const compiled = await backend.compile(graph.encodeWithoutWeights());
  using one = backend.upload({ type: "float32", dims: [1], data: Float32Array.of(1) });
  try {
    releaseAll(await compiled.run({ x: one }, ["y"]));
  } finally {
    compiled.release();
  }
}

describe("a device that has no memory left in the middle of a sampling", () => {
  it("says what was asked for and what is free; nothing is held, and the next sampling is as if nothing had been", async () => {
    const pipeline = await loadPipeline(join(models, "sd1-like"));
    const options = { prompt: "red apple", steps: 3 };
    const expected = await generate(pipeline, options);
    const held = liveTensors();
    const failing = hook("mid_block.attentions.0", async ({ step }) => {
      if (step === 1) await askTooMuch(pipeline.network.device);
    });
    const failed = generate(pipeline, { ...options, hooks: [failing] });
    await expect(failed).rejects.toThrow(DeviceError);
    await expect(failed).rejects.toThrow(/size 281474976710656.* — \d+\.\d\d GiB are free now/);
    expect(liveTensors()).toBe(held);
    expect((await generate(pipeline, options)).latents).toEqual(expected.latents);
    await pipeline.dispose();
    expect(alive()).toBe(0);
  });
});

describe("something lazy", () => {
  it("is made once, again after a failure, and anew once it was taken", async () => {
    let made = 0;
    const lazy = new Lazy(async () => {
      made++;
      if (made === 1) throw new Error("not yet");
      return made;
    });
    expect(lazy.isAskedFor).toBe(false);
    const both = [lazy.get(), lazy.get()];
    for (const each of both) await expect(each).rejects.toThrow("not yet");
    expect(lazy.isAskedFor).toBe(false);
    expect(await Promise.all([lazy.get(), lazy.get()])).toEqual([2, 2]);
    expect(await lazy.take()).toBe(2);
    expect(await lazy.take()).toBeUndefined();
    expect(await lazy.get()).toBe(3);
  });
});
