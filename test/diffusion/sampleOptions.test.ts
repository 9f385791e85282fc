/** What a sampling run is asked for, stopped by, and told when it ends. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate, sample } from "../../src/diffusion/sample.js";
import type { SamplingHook } from "../../src/diffusion/samplingHook.js";
import type { SampleOptions } from "../../src/diffusion/samplingPlan.js";
import { ArgumentError, InterruptedError } from "../../src/errors.js";

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
});
afterAll(() => pipeline.dispose());

const options: SampleOptions = { prompt: "red apple", steps: 2 };
const latents = { dims: [1, 4, 6, 8], data: new Float32Array(4 * 6 * 8).fill(0.5) };

async function toTheEnd(given: SampleOptions): Promise<void> {
  for await (const step of sample(pipeline, given)) void step;
}

describe("start latents", () => {
  it.each([
    [
      { dims: [4, 6, 8], data: latents.data },
      /^latents: expected \[images, channels, height, width\] and as many numbers, found \[4, 6, 8\] and 192 numbers$/,
    ],
    [
      { dims: [1, 4, 6, 8], data: new Float32Array(191) },
      /^latents: expected .* found \[1, 4, 6, 8\] and 191 numbers$/,
    ],
    [{ dims: [2, 4, 6, 8], data: new Float32Array(384) }, /^latents: expected \[1, 4, 6, 8\]/],
    [{ dims: [1, 3, 6, 8], data: new Float32Array(144) }, /^latents: expected \[1, 4, 6, 8\]/],
  ])("%#: of another shape are refused by name", async (given, message) => {
    await expect(toTheEnd({ ...options, latents: given })).rejects.toThrow(ArgumentError);
    await expect(toTheEnd({ ...options, latents: given })).rejects.toThrow(message);
  });

  it("fix the image's size, and another one beside them is refused", async () => {
    // an autoencoder of two levels: two pixels a latent
    const { images } = await generate(pipeline, { ...options, latents });
    expect(images.map(({ height, width }) => [height, width])).toEqual([[12, 16]]);
    await toTheEnd({ ...options, latents, height: 12, width: 16 });
    for (const size of [{ height: 64, width: 64 }, { height: 16 }, { width: 12 }]) {
      await expect(toTheEnd({ ...options, latents, ...size })).rejects.toThrow(
        /^height, width: expected 12 and 16, the pixels that the latents make, found \d+ and \d+ — leave them out$/,
      );
    }
  });
});

describe("what would have no effect is refused:", () => {
  it.each<[string, SampleOptions, RegExp]>([
    [
      "a negative prompt without guidance",
      { prompt: "x", guidanceScale: 1, negativePrompt: "blue" },
      /^negativePrompt: .* "blue"/,
    ],
    [
      "one of two",
      { prompt: ["x", "y"], guidanceScale: 0, negativePrompt: ["", "blue"] },
      /^negativePrompt: .* "blue"/,
    ],
    [
      "rescaling without guidance",
      { prompt: "x", guidanceScale: 1, guidanceRescale: 0.7 },
      /^guidanceRescale: expected 0/,
    ],
    [
      "η of another solver than ddim",
      { prompt: "x", solver: "euler", eta: 0.5 },
      /^eta: expected 0 with the solver euler/,
    ],
  ])("%s", async (_, given, message) => {
    await expect(toTheEnd({ ...given, steps: 2 })).rejects.toThrow(ArgumentError);
    await expect(toTheEnd({ ...given, steps: 2 })).rejects.toThrow(message);
  });

  it("but not an empty negative prompt, nor η 0", async () => {
    await toTheEnd({ ...options, guidanceScale: 1, negativePrompt: "" });
    await toTheEnd({ ...options, solver: "euler", eta: 0 });
  });
});

describe("what is no such value is refused by name:", () => {
  const wrong = (given: object): SampleOptions => ({ ...options, ...given });
  it.each<[object, RegExp]>([
    [{ prompt: 5 }, /^prompt: expected a text, or a list of them, found number/],
    [{ prompt: [null] }, /^prompt: expected a text/],
    [{ negativePrompt: 5 }, /^negativePrompt: expected a text/],
    [{ seed: "1" }, /^seed: expected an integer, or a list of them, found a string/],
    [{ guidanceRescale: NaN }, /^guidanceRescale: expected a number of 0 or more, found NaN/],
    [{ guidanceRescale: -1 }, /^guidanceRescale: expected a number of 0 or more, found -1/],
  ])("%j", async (given, message) => {
    await expect(toTheEnd(wrong(given))).rejects.toThrow(ArgumentError);
    await expect(toTheEnd(wrong(given))).rejects.toThrow(message);
  });
});

describe("an abort", () => {
  it("before the texts are encoded, and between the two, is heard", async () => {
    const encode = vi.spyOn(pipeline, "encodePrompts");
    const controller = new AbortController();
    encode.mockImplementation(async (prompts, clipSkip) => {
      const encoded = await pipeline.text.encode(prompts, { clipSkip });
      controller.abort();
      return encoded;
    });
    try {
      await expect(toTheEnd({ ...options, signal: controller.signal })).rejects.toThrow(InterruptedError);
      expect(encode).toHaveBeenCalledTimes(1);
      await expect(toTheEnd({ ...options, signal: controller.signal })).rejects.toThrow("sampling was interrupted");
      expect(encode).toHaveBeenCalledTimes(1);
    } finally {
      encode.mockRestore();
    }
  });

  it("between images that are decoded is heard", async () => {
    const controller = new AbortController();
    const decode = vi.spyOn(pipeline, "decode");
    decode.mockImplementationOnce(async () => {
      controller.abort();
      return { dims: [1, 3, 2, 2], data: new Float32Array(12) };
    });
    try {
      await expect(generate(pipeline, { ...options, imagesPerPrompt: 8, signal: controller.signal })).rejects.toThrow(
        "decoding was interrupted",
      );
      expect(decode).toHaveBeenCalledTimes(1);
    } finally {
      decode.mockRestore();
    }
  });
});

describe("hooks", () => {
  const nothing: SamplingHook = { answer: () => "compute" };

  it("all end, once, whatever ended the run and whichever of them throws", async () => {
    const ended: string[] = [];
    const hookOf = (name: string, change: Partial<SamplingHook> = {}): SamplingHook => ({
      ...nothing,
      end: () => void ended.push(name),
      ...change,
    });
    const failing = hookOf("failing", {
      end() {
        ended.push("failing");
        throw new Error("from end");
      },
    });
    await expect(toTheEnd({ ...options, hooks: [hookOf("a"), failing, hookOf("b")] })).rejects.toThrow("from end");
    expect(ended).toEqual(["a", "failing", "b"]);

    ended.length = 0;
    const refusing = hookOf("refusing", { begin: () => Promise.reject(new Error("from begin")) });
    await expect(toTheEnd({ ...options, hooks: [hookOf("a"), refusing, hookOf("b")] })).rejects.toThrow("from begin");
    expect(ended).toEqual(["a", "refusing", "b"]);

    ended.length = 0;
    for await (const step of sample(pipeline, { ...options, hooks: [hookOf("a")] })) {
      expect(step.index).toBe(0);
      break;
    }
    expect(ended).toEqual(["a"]);
  });
});
