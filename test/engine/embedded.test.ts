/**
 * The embedded model against PyTorch and diffusers: networks within 1e-4 of the largest value, final latents
 * within 1e-3. The expected numbers are made by test/fixtures/embedded.py, which keeps every 61st value of
 * a large tensor beside its largest |value| and the sum of all.
 */
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate } from "../../src/diffusion/sample.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { SafetensorsFile } from "../../src/files/safetensors.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";

const PROMPTS = ["red apple", "A smiling Cat's face, 3 stars!"];
const STRIDE = 61;
const NETWORK = 1e-4;
const LATENTS = 1e-3;

let pipeline: Pipeline;
let reference: SafetensorsFile;
const stored = (name: string): Promise<FloatTensor> => reference.readFloat32(name);

beforeAll(async () => {
  pipeline = await loadPipeline("fluent-ldm");
  reference = await openSafetensors(fileURLToPath(new URL("../fixtures/embedded.safetensors", import.meta.url)));
});
afterAll(async () => {
  await pipeline.dispose();
  await reference.close();
});

/** max |difference| over the values kept ÷ max |expected|, and how far the sums of all |values| are apart */
async function relativeErrors(name: string, found: FloatTensor): Promise<{ values: number; sum: number }> {
  const expected = await stored(name);
  const whole = expected.dims.length > 1;
  if (whole) expect(found.dims).toEqual(expected.dims);
  const values = whole ? found.data : found.data.filter((_, index) => index % STRIDE === 0);
  expect(values.length).toBe(expected.data.length);
  const largest = (await stored(`${name}/largest`)).data[0];
  const difference = expected.data.reduce((most, value, index) => Math.max(most, Math.abs(value - values[index])), 0);
  const [expectedSum] = (await stored(`${name}/sum`)).data;
  const sum = found.data.reduce((total, value) => total + Math.abs(value), 0);
  return { values: difference / largest, sum: Math.abs(sum - expectedSum) / expectedSum };
}

async function expectEqual(name: string, found: FloatTensor, tolerance: number): Promise<void> {
  const { values, sum } = await relativeErrors(name, found);
  expect(values, name).toBeLessThan(tolerance);
  expect(sum, `${name}, sum`).toBeLessThan(tolerance);
}

describe("the embedded model equals PyTorch", () => {
  it("token ids and text encoder", async () => {
    const { inputIds, promptEmbeds } = await pipeline.encodePrompts(PROMPTS);
    const bytes = await reference.readRaw("input_ids");
    expect(Array.from(inputIds[0])).toEqual(Array.from(new Int32Array(bytes.slice().buffer)));
    await expectEqual("prompt_embeds", promptEmbeds, NETWORK);
  });

  it("UNet output and hooked C at two timesteps", async () => {
    const inputs = { sample: await stored("sample"), encoderHiddenStates: await stored("prompt_embeds") };
    for (const timestep of [901, 101]) {
      const branches = new Map<string, FloatTensor>();
      const observer = hook("all", ({ id, branch }) => void branches.set(id, branch));
      await observer.begin?.(pipeline);
      const output = await pipeline.network.forward(
        { ...inputs, timestep },
        { observers: [observer], evaluation: { index: 0, timestep, images: 2, guided: false } },
      );
      await expectEqual(`unet/${timestep}`, output, NETWORK);
      const names = [...reference.tensors.keys()].filter(
        (name) => name.startsWith(`branch/${timestep}/`) && !/\/(largest|sum)$/.test(name),
      );
      expect(names).toHaveLength(6);
      for (const name of names) {
        const branch = branches.get(name.slice(`branch/${timestep}/`.length));
        if (branch === undefined) throw new Error(`${name} was not hooked`);
        await expectEqual(name, branch, NETWORK);
      }
    }
  });

  it("autoencoder, both ways", async () => {
    await expectEqual("image", await pipeline.decode(await stored("latents")), NETWORK);
    const pixels = Float32Array.from({ length: 3 * 192 * 192 }, (_, index) => Math.sin(index / 50));
    await expectEqual("latent_mean", await pipeline.encodeImage({ dims: [1, 3, 192, 192], data: pixels }), NETWORK);
  });

  it.each(["ddim", "dpmsolver++"] as const)("final latents of %s at 7 steps", async (solver) => {
    const { latents } = await generate(pipeline, {
      prompt: PROMPTS[0],
      steps: 7,
      solver,
      guidanceScale: 5,
      latents: await stored("latents"),
    });
    await expectEqual(`final/${solver}`, latents, LATENTS);
  });
});
