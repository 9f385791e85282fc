/** What does not fit in memory is refused before anything is allocated, with what would fit. */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { requireMemory } from "../../src/diffusion/memoryCheck.js";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { planSampling } from "../../src/diffusion/samplingPlan.js";
import { activationBytes } from "../../src/graphs/activationBytes.js";
import { availableMemory } from "../../src/engine/availableMemory.js";

const MEBIBYTE = 2 ** 20;

describe("memory", () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await loadPipeline(fileURLToPath(new URL("../fixtures/models/sd1-like", import.meta.url)));
  }, 60_000);
  afterAll(() => pipeline.dispose());

  const refusal = (images: number, size: number, available: number): string | undefined => {
    try {
      requireMemory(
        pipeline,
        planSampling(pipeline, { prompt: "", imagesPerPrompt: images, height: size, width: size }),
        available,
      );
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  };

  it("a batch too large names the largest that fits, and that one fits", () => {
    const message = refusal(500, 128, 512 * MEBIBYTE);
    expect(message).toMatch(
      /^memory: sampling 500 images of 128×128 pixels takes about [\d.]+ GiB, and 0\.5 GiB can be taken — at most \d+ of this size fit at once/,
    );
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

  /** The least that must be free, by bisection. */
  const least = (images: number, size: number): number => {
    let [low, high] = [0, 2 ** 40];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (refusal(images, size, middle) === undefined) high = middle;
      else low = middle;
    }
    return high;
  };

  it("what sessions keep is taken once: a run needs less by it when it is made again, and a larger one only what goes beyond it", async () => {
    const [size, latents] = [128, { height: 64, width: 64 }];
    const row = activationBytes(pipeline.network.unet, latents);
    const decoding = pipeline.decodeBytes([64, 64]);
    expect(row).toBeGreaterThan(0);
    // Guided: two rows. Decoding works in the same memory.
    expect(least(1, size)).toBe(Math.ceil(pipeline.waitingWeightBytes + Math.max(2 * row, decoding)));
    await generate(pipeline, { prompt: "", height: size, width: size, steps: 1 });
    expect(pipeline.network.keptBytes).toBe(2 * row);
    expect(least(8, size)).toBe(Math.ceil(Math.max(16 * row, decoding) - 2 * row));
    expect(least(1, size / 2)).toBeLessThanOrEqual(least(1, size));
    // A smaller run gives nothing back.
    await generate(pipeline, { prompt: "", height: size / 2, width: size / 2, steps: 1 });
    expect(pipeline.network.keptBytes).toBe(2 * row);
  });

  it("in a container is what its limit leaves to this process", () => {
    const machine = availableMemory();
    const limit = vi.spyOn(process, "constrainedMemory");
    const resident = vi.spyOn(process.memoryUsage, "rss").mockReturnValue(300 * MEBIBYTE);
    try {
      limit.mockReturnValue(500 * MEBIBYTE);
      expect(availableMemory()).toBe(200 * MEBIBYTE);
      limit.mockReturnValue(200 * MEBIBYTE);
      expect(availableMemory()).toBe(0);
      // libuv's answers where there is no limit
      for (const none of [0, Number(2n ** 64n - 1n)]) {
        limit.mockReturnValue(none);
        expect(Math.abs(availableMemory() - machine)).toBeLessThan(machine / 2);
      }
    } finally {
      limit.mockRestore();
      resident.mockRestore();
    }
  });

  it("sampling petabytes is refused at once", async () => {
    await expect(generate(pipeline, { prompt: "red apple", height: 2 ** 24, width: 2 ** 24 })).rejects.toThrow(
      /^memory: sampling 1 image of 16777216×16777216 pixels/,
    );
  });
});
