/**
 * Networks and sampling against PyTorch and diffusers, on tiny random folders over a grid of configurations.
 * The expected tensors are made by test/fixtures/models.py.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import type { Pipeline } from "../../src/diffusion/pipeline.js";
import { generate, sample } from "../../src/diffusion/sample.js";
import { ATTENTION_NAMES } from "../../src/graphs/autoencoder.js";
import { blockMap } from "../../src/instrument/blockMap.js";
import { changeMeter } from "../../src/instrument/change/change.js";
import { hook } from "../../src/instrument/hooks/hooks.js";
import { openSafetensors } from "../../src/files/safetensors.js";
import type { SafetensorsFile } from "../../src/files/safetensors.js";
import type { FloatTensor } from "../../src/numerics/tensor.js";
import { BandedDecoder } from "../../src/engine/bandedDecoder.js";
import { beginAll } from "../../src/diffusion/samplingHook.js";
import type { UNetInputs } from "../../src/engine/network/unetInputs.js";

const models = fileURLToPath(new URL("../fixtures/models", import.meta.url));

/** max |difference| ÷ max |expected| */
function relativeError(found: FloatTensor, expected: FloatTensor): number {
  expect(found.dims).toEqual(expected.dims);
  let difference = 0;
  let size = 0;
  expected.data.forEach((value, index) => {
    difference = Math.max(difference, Math.abs(value - found.data[index]));
    size = Math.max(size, Math.abs(value));
  });
  return difference / size;
}

const NETWORK = 1e-4;
const LATENTS = 1e-3;
const evaluation = { index: 0, timestep: 601, images: 2, guided: false };

describe.each(readdirSync(models))("%s equals PyTorch", (name) => {
  const folder = join(models, name);
  const { prompts, parameters } = JSON.parse(readFileSync(join(folder, "reference.json"), "utf8")) as {
    prompts: string[];
    parameters: number;
  };
  let pipeline: Pipeline;
  let reference: SafetensorsFile;
  const expected = (tensor: string): Promise<FloatTensor> => reference.readFloat32(tensor);
  const given = async (tensor: string): Promise<FloatTensor | undefined> =>
    reference.tensors.has(tensor) ? expected(tensor) : undefined;
  const inputs = async (): Promise<UNetInputs> => {
    const [textEmbeds, timeIds] = [await given("text_embeds"), await given("time_ids")];
    const addedConditions = textEmbeds && timeIds && { textEmbeds, timeIds };
    return {
      sample: await expected("sample"),
      timestep: 601,
      encoderHiddenStates: await expected("prompt_embeds"),
      addedConditions,
      timestepCond: await given("timestep_cond"),
    };
  };

  beforeAll(async () => {
    pipeline = await loadPipeline(folder);
    reference = await openSafetensors(join(folder, "reference.safetensors"));
  }, 60_000);
  afterAll(async () => {
    await pipeline.dispose();
    await reference.close();
  });

  it("token ids", async () => {
    for (const [index, tokenizer] of pipeline.text.tokenizers.entries()) {
      const bytes = await reference.readRaw(index === 0 ? "input_ids" : `input_ids_${index + 1}`);
      expect(Array.from(tokenizer.encodePrompts(prompts).inputIds)).toEqual(Array.from(new Int32Array(bytes.buffer)));
    }
  });

  it("text encoder, with and without its last layer", async () => {
    for (const [clipSkip, tensor] of [
      [0, "prompt_embeds"],
      [1, "prompt_embeds_skip_1"],
    ] as const) {
      if (clipSkip >= Math.min(...pipeline.folder.textEncoders.map(({ config }) => config.num_hidden_layers))) continue;
      const { promptEmbeds, pooledPromptEmbeds } = await pipeline.encodePrompts(prompts, clipSkip);
      expect(relativeError(promptEmbeds, await expected(tensor)), tensor).toBeLessThan(NETWORK);
      const pooled = await given("pooled_prompt_embeds");
      expect(pooledPromptEmbeds === undefined).toBe(pooled === undefined);
      if (pooledPromptEmbeds && pooled) expect(relativeError(pooledPromptEmbeds, pooled)).toBeLessThan(NETWORK);
    }
  });

  it("UNet output, whole and with the transformers in parts, and every block's C", async () => {
    const branches = new Map<string, FloatTensor>();
    const hooks = ["all", "**.attn1", "**.attn2", "**.ff"].map((pattern) =>
      hook(pattern, ({ id, branch }) => void branches.set(id, branch)),
    );
    const inParts = await beginAll(hooks, pipeline);
    expect(relativeError(await pipeline.network.forward(await inputs()), await expected("unet"))).toBeLessThan(NETWORK);
    const hooked = await pipeline.network.forward(await inputs(), {
      observers: hooks,
      inParts,
      evaluation,
    });
    expect(relativeError(hooked, await expected("unet"))).toBeLessThan(NETWORK);
    const names = [...reference.tensors.keys()].filter((tensor) => tensor.startsWith("branch/"));
    expect([...branches.keys()].sort()).toEqual(names.map((tensor) => tensor.slice("branch/".length)).sort());
    for (const tensor of names) {
      const found = branches.get(tensor.slice("branch/".length));
      expect(found === undefined ? Infinity : relativeError(found, await expected(tensor)), tensor).toBeLessThan(
        NETWORK,
      );
    }
  });

  it("a branch replaced by itself changes nothing, by zeros what PyTorch says", async () => {
    const plain = await pipeline.network.forward(await inputs());
    const same = hook("all", ({ branch }) => ({ branch }));
    await same.begin?.(pipeline);
    expect((await pipeline.network.forward(await inputs(), { observers: [same], evaluation })).data).toEqual(
      plain.data,
    );
    const zero = hook("mid_block.resnets.0", ({ branch }) => ({
      branch: { dims: branch.dims, data: new Float32Array(branch.data.length) },
    }));
    await zero.begin?.(pipeline);
    const without = await pipeline.network.forward(await inputs(), { observers: [zero], evaluation });
    expect(relativeError(without, await expected("unet_without/mid_block.resnets.0"))).toBeLessThan(NETWORK);
  });

  it("the dry run counts every parameter", () => {
    const ofBlocks = blockMap(pipeline, [8, 8])
      .filter(({ inside }) => inside === undefined)
      .reduce((sum, block) => sum + block.parameters, 0);
    const { block_out_channels, time_embedding_dim, time_cond_proj_dim, projection_class_embeddings_input_dim } =
      pipeline.folder.unet;
    const width = time_embedding_dim ?? 4 * block_out_channels[0];
    const perceptron = (inputs: number): number => (inputs + 1) * width + (width + 1) * width;
    const added =
      projection_class_embeddings_input_dim === null ? 0 : perceptron(projection_class_embeddings_input_dim);
    expect(
      ofBlocks + perceptron(block_out_channels[0]) + added + (time_cond_proj_dim ?? 0) * block_out_channels[0],
    ).toBe(parameters);
  });

  it("autoencoder, both ways", async () => {
    const image = await pipeline.decode(await expected("vae_latents"));
    expect(relativeError(image, await expected("vae_image"))).toBeLessThan(NETWORK);
    const { dims, data } = await expected("vae_image");
    const mean = await pipeline.encodeImage({ dims, data: data.map((value) => Math.max(-1, Math.min(1, value))) });
    expect(relativeError(mean, await expected("vae_mean"))).toBeLessThan(NETWORK);
  });

  it("autoencoder's decoder in bands of one, two and three rows, without a seam", async () => {
    const { folder, device } = pipeline;
    const weights = await folder.openVaeWeights();
    const decoder = await BandedDecoder.load(folder.vae, device, ATTENTION_NAMES, weights, device);
    await weights.close();
    const { dims, data } = await expected("vae_latents");
    const latents = { dims, data: data.map((value) => value / folder.vae.scaling_factor) };
    // Feature maps are at most 16 channels wide of 6 columns after the mid block, so these are so many rows there.
    for (const rows of [1, 2, 3]) {
      const image = await decoder.decode(latents, 4 * 16 * 6 * rows);
      expect(relativeError(image, await expected("vae_image")), `${rows} rows`).toBeLessThan(NETWORK);
    }
    decoder.dispose();
  });

  it.each(["ddim", "dpmsolver++"] as const)("final latents of %s at 7 and 20 steps", async (solver) => {
    for (const steps of [7, 20]) {
      const { latents } = await generate(pipeline, {
        prompt: prompts[0],
        steps,
        solver,
        guidanceScale: 5,
        latents: await expected("latents"),
      });
      expect(relativeError(latents, await expected(`final/${solver}/${steps}`)), `${steps} steps`).toBeLessThan(
        LATENTS,
      );
    }
  });

  it("negative prompt with guidance rescale, guidance off, and η with several images", async () => {
    const latents = await expected("latents");
    const common = { steps: 7, solver: "ddim" as const, latents };
    const negative = await generate(pipeline, {
      ...common,
      prompt: prompts[0],
      negativePrompt: "blue",
      guidanceRescale: 0.7,
    });
    expect(relativeError(negative.latents, await expected("final/negative"))).toBeLessThan(LATENTS);
    const unguided = await generate(pipeline, { ...common, prompt: prompts[0], guidanceScale: 1 });
    expect(relativeError(unguided.latents, await expected("final/unguided"))).toBeLessThan(LATENTS);
    const [, , height, width] = latents.dims;
    const factor = pipeline.vaeScaleFactor;
    const noisy = await generate(pipeline, {
      prompt: prompts,
      imagesPerPrompt: 2,
      steps: 7,
      solver: "ddim",
      eta: 0.5,
      seed: 5,
      height: height * factor,
      width: width * factor,
    });
    expect(relativeError(noisy.latents, await expected("final/eta"))).toBeLessThan(LATENTS);
  });

  it("SDXL's empty negative prompt, clip skip and sizes", async () => {
    const latents = await expected("latents");
    // As test/fixtures/models.py calls diffusers.
    const runs = {
      "final/empty_negative": { negativePrompt: "" },
      "final/clip_skip": { negativePrompt: "blue", clipSkip: 1 },
      "final/sizes": { originalSize: [40, 24], cropsCoordsTopLeft: [3, 5], targetSize: [20, 30] },
      "final/negative_sizes": {
        originalSize: [40, 24],
        negativeOriginalSize: [12, 9],
        negativeCropsCoordsTopLeft: [1, 2],
        negativeTargetSize: [7, 8],
      },
    } as const;
    for (const [tensor, options] of Object.entries(runs)) {
      const final = await given(tensor);
      const run = (): Promise<{ latents: FloatTensor }> =>
        generate(pipeline, { ...options, prompt: prompts[0], steps: 7, solver: "ddim", latents });
      if (final) expect(relativeError((await run()).latents, final), tensor).toBeLessThan(LATENTS);
      else if ("originalSize" in options)
        await expect(run()).rejects.toThrow(/originalSize: this model takes no size conditions/);
    }
  });

  it("a distilled network without an embedding of the guidance scale", async () => {
    const without = await given("unet_without_cond");
    const whole = await inputs();
    if (without)
      expect(
        relativeError(await pipeline.network.forward({ ...whole, timestepCond: undefined }), without),
      ).toBeLessThan(NETWORK);
    else
      await expect(pipeline.network.forward({ ...whole, timestepCond: whole.sample })).rejects.toThrow(
        /timestep_cond: the network takes none/,
      );
  });

  it("a distilled network by its own solver, which adds noise", async () => {
    const final = await given("final/lcm/4");
    if (final === undefined) return;
    const { latents } = await generate(pipeline, {
      prompt: prompts[0],
      steps: 4,
      guidanceScale: 8.5,
      seed: 3,
      latents: await expected("latents"),
    });
    expect(relativeError(latents, final)).toBeLessThan(LATENTS);
  });

  it("conditions that are missing or not the network's are refused", async () => {
    const whole = await inputs();
    const wrong = {
      textEmbeds: { dims: [2, 3], data: new Float32Array(6) },
      timeIds: { dims: [2, 6], data: new Float32Array(12) },
    };
    await expect(pipeline.network.forward({ ...whole, addedConditions: wrong })).rejects.toThrow(
      whole.addedConditions
        ? /text_embeds: expected \[2, \d+\], found \[2, 3\]/
        : /text_embeds, time_ids: the network takes none/,
    );
    if (whole.addedConditions)
      await expect(pipeline.network.forward({ ...whole, addedConditions: undefined })).rejects.toThrow(
        /text_embeds, time_ids: expected both/,
      );
    await expect(pipeline.network.forward({ ...whole, encoderHiddenStates: whole.sample })).rejects.toThrow(
      /encoder_hidden_states: expected \[2, tokens, \d+\]/,
    );
  });

  it("change of every branch over a guided run", async () => {
    const curves = new Map<string, number[]>();
    const meter = changeMeter(pipeline, (id, step, [image]) => {
      const curve = curves.get(id) ?? [];
      curve[step] = image.change;
      curves.set(id, curve);
    });
    const names = [...reference.tensors.keys()].filter(
      (tensor) => tensor.startsWith("change/") && curvesOfLayerBlocks(tensor),
    );
    for await (const step of sample(pipeline, {
      prompt: prompts[0],
      steps: 7,
      solver: "ddim",
      latents: await expected("latents"),
      hooks: [meter],
    }))
      void step;
    meter.dispose();
    for (const tensor of names) {
      const { data } = await expected(tensor);
      const found = curves.get(tensor.slice("change/".length)) ?? [];
      data.forEach((value, step) =>
        expect(Math.abs(found[step] - value), `${tensor} ${step}`).toBeLessThanOrEqual(0.005 * value + 1e-7),
      );
    }
  });
});

/** Parts of a transformer are measured only where asked for. */
function curvesOfLayerBlocks(tensor: string): boolean {
  return !/\.(attn1|attn2|ff)$/.test(tensor);
}
