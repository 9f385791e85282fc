/** What does not fit in memory is refused before anything is allocated, with what would fit. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requireMemory } from "../../src/diffusion/memoryCheck.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";

const MEBIBYTE = 2 ** 20;

describe("memory", () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
  }, 60_000);
  afterAll(() => pipeline.dispose());

  const refusal = (images: number, size: number, available: number): string | undefined => {
    try {
      requireMemory(pipeline, planSampling(pipeline, { prompt: "", imagesPerPrompt: images, height: size, width: size }), available);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it("a batch too large names the largest that fits, and that one fits", () => {
    const message = refusal(500, 128, 512 * MEBIBYTE);
    expect(message).toMatch(/^memory: sampling 500 images of 128×128 pixels takes about [\d.]+ GiB, and 0\.5 GiB can be taken — at most \d+ of this size fit at once/);
    const batch = Number(/at most (\d+)/.exec(message ?? "")?.[1]);
    expect(batch).toBeGreaterThan(1);
    expect(refusal(batch, 128, 512 * MEBIBYTE)).toBeUndefined();
    expect(refusal(batch + 1, 128, 512 * MEBIBYTE)).toMatch(new RegExp(`at most ${batch} of`));
  });

  it("a single image too large names the largest square that fits, and that one fits", () => {
    const message = refusal(1, 16384, 512 * MEBIBYTE);
    const side = Number(/one image of (\d+)×\d+ pixels fits/.exec(message ?? "")?.[1]);
    expect(refusal(1, side, 512 * MEBIBYTE)).toBeUndefined();
    expect(refusal(1, side + 16, 512 * MEBIBYTE)).toMatch(/pixels fits/);
    expect(refusal(1, 128, 1000)).toMatch(/no image fits/);
  });

  it("sampling petabytes is refused at once", async () => {
    await expect(generate(pipeline, { prompt: "red apple", height: 2 ** 24, width: 2 ** 24 })).rejects.toThrow(/^memory: sampling 1 image of 16777216×16777216 pixels/);
  });
});
