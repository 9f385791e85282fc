/** Checkpoints in the original single-file layout against the diffusers folders that they hold; files and names by test/fixtures/singleFile.py. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../../src/diffusion/pipeline.js";
import { ArgumentError, HubError, InvalidFileError, UnsupportedError } from "../../../src/errors.js";
import { openModelFolder } from "../../../src/models/folder.js";
import { openModel } from "../../../src/models/openModel.js";
import { openSafetensors, writeSafetensors } from "../../../src/files/safetensors.js";
import { autoencoderName, unetName } from "../../../src/models/singleFile/originalLayout.js";
import type { Weights } from "../../../src/models/weights.js";

const fixtures = fileURLToPath(new URL("../../fixtures", import.meta.url));
const fileOf = (name: string): string => join(fixtures, "singleFile", `${name}.safetensors`);
const folderOf = (name: string): string => join(fixtures, "models", name);
const temporary = mkdtempSync(join(tmpdir(), "blockcache-single-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

it("names of Stable Diffusion 1.5 become those that diffusers gives them", () => {
  const names = JSON.parse(readFileSync(join(fixtures, "singleFile", "names.json"), "utf8")) as Record<
    "unet" | "vae",
    Record<string, string>
  >;
  const ours = (
    component: "unet" | "vae",
    prefix: string,
    nameOf: (name: string) => string | undefined,
  ): Record<string, string | undefined> =>
    Object.fromEntries(Object.keys(names[component]).map((name) => [name, nameOf(name.slice(prefix.length))]));
  expect(ours("unet", "model.diffusion_model.", (name) => unetName(name, 2))).toEqual(names.unet);
  expect(ours("vae", "first_stage_model.", (name) => autoencoderName(name, 4))).toEqual(names.vae);
});

/** Reads every tensor of both. */
async function expectSameWeights(found: Weights, expected: Weights, folder: string, component: string): Promise<void> {
  expect([...found.names()].filter((name) => name !== "embeddings.position_ids").sort()).toEqual(
    [...expected.names()].sort(),
  );
  const shapes = await openSafetensors(expected.files[0]);
  for (const name of expected.names()) {
    const dims = shapes.tensors.get(name)?.dims ?? [];
    const [{ data: a }, { data: b }] = [await found.read(name, dims), await expected.read(name, dims)];
    expect(Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)), `${folder}/${component}: ${name}`).toBe(
      0,
    );
  }
  await Promise.all([shapes.close(), found.close(), expected.close()]);
}

describe.each(["sd1-like", "sd2-like"])("%s in a single file", (name) => {
  it("has just the weights of its folder", async () => {
    const [single, folder] = [
      await openModel(fileOf(name), { config: folderOf(name) }),
      await openModelFolder(folderOf(name)),
    ];
    expect(single.name).toBe(name);
    expect([single.source, single.configs?.path, folder.source]).toEqual([
      fileOf(name),
      folderOf(name),
      folderOf(name),
    ]);
    await expectSameWeights(await single.openUNetWeights(), await folder.openUNetWeights(), name, "unet");
    await expectSameWeights(await single.openVaeWeights(), await folder.openVaeWeights(), name, "vae");
    await expectSameWeights(
      await single.textEncoders[0].openWeights(),
      await folder.textEncoders[0].openWeights(),
      name,
      "text_encoder",
    );
  });

  it("computes what PyTorch computes with the folder", async () => {
    const pipeline = await loadPipeline(fileOf(name), { config: folderOf(name) });
    const reference = await openSafetensors(join(folderOf(name), "reference.safetensors"));
    const close = async (found: { data: Float32Array }, tensor: string): Promise<void> => {
      const expected = await reference.readFloat32(tensor);
      const size = expected.data.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
      expect(
        expected.data.reduce((largest, value, index) => Math.max(largest, Math.abs(value - found.data[index])), 0) /
          size,
      ).toBeLessThan(1e-4);
    };
    await close(
      (await pipeline.encodePrompts(["red apple", "A smiling Cat's face, 3 stars!"])).promptEmbeds,
      "prompt_embeds",
    );
    await close(
      await pipeline.network.forward({
        sample: await reference.readFloat32("sample"),
        timestep: 601,
        encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
      }),
      "unet",
    );
    const latents = await reference.readFloat32("vae_latents");
    await close(await pipeline.decode(latents), "vae_image");
    expect(await pipeline.fingerprint()).toMatch(/^sha256:/);
    await Promise.all([pipeline.dispose(), reference.close()]);
  });
});

describe("what is no such file is refused by name", () => {
  const one = { dtype: "F32" as const, dims: [1], data: new Float32Array(1) };
  const write = async (name: string, tensors: Record<string, readonly number[]>): Promise<string> => {
    await writeSafetensors(
      join(temporary, name),
      new Map(
        Object.entries(tensors).map(([tensor, dims]) => [
          tensor,
          { ...one, dims, data: new Float32Array(dims.reduce((product, dim) => product * dim, 1)) },
        ]),
      ),
    );
    return join(temporary, name);
  };
  const unet = { "model.diffusion_model.input_blocks.0.0.weight": [8, 4, 3, 3] };
  const text = { "cond_stage_model.transformer.text_model.final_layer_norm.weight": [8] };
  const vae = { "first_stage_model.quant_conv.weight": [8, 8, 1, 1] };

  it.each([
    [
      "sdxl.safetensors",
      { ...unet, ...vae, "conditioner.embedders.1.model.ln_final.weight": [8] },
      UnsupportedError,
      /Stable Diffusion XL.*StableDiffusionXLPipeline\.from_single_file\("sdxl\.safetensors"\)\.save_pretrained/,
    ],
    [
      "kohya.safetensors",
      { "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": [4, 8] },
      UnsupportedError,
      /a LoRA.*fuse_lora\(\)/,
    ],
    [
      "peft.safetensors",
      { "unet.down_blocks.0.attentions.0.to_q.lora_A.weight": [4, 8] },
      UnsupportedError,
      /a LoRA.*load_lora_weights\("peft\.safetensors"\)/,
    ],
    [
      "inpainting.safetensors",
      { ...text, ...vae, "model.diffusion_model.input_blocks.0.0.weight": [8, 9, 3, 3] },
      UnsupportedError,
      /inpainting network \(9 input channels\)/,
    ],
    [
      "unclip.safetensors",
      { ...unet, ...text, ...vae, "model.diffusion_model.label_emb.0.0.weight": [8, 8] },
      UnsupportedError,
      /label_emb\.0\.0\.weight belongs to no Stable Diffusion/,
    ],
    [
      "component.safetensors",
      { "down_blocks.0.resnets.0.conv1.weight": [8, 8, 3, 3] },
      InvalidFileError,
      /no such tensor; it holds down_blocks.*give the folder/,
    ],
    ["headless.safetensors", { ...unet, ...vae }, InvalidFileError, /expected the weights of the text encoder too/],
    ["latent.safetensors", { ...unet, ...text }, InvalidFileError, /expected the weights of the autoencoder too/],
  ] as const)("%s", async (name, tensors, type, message) => {
    const path = await write(name, tensors);
    const opening = openModel(path, { config: folderOf("sd1-like") });
    await expect(opening).rejects.toThrow(type);
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toThrow(path);
  });

  it.each(["model.ckpt", "model.pt", "model.pth", "model.bin"])("%s", async (name) => {
    writeFileSync(join(temporary, name), "PK\x03\x04");
    await expect(openModel(join(temporary, name))).rejects.toThrow(
      /pickled checkpoint, which runs code.*from_single_file\("model\.\w+"\)\.save_pretrained/,
    );
  });

  it("a file that is no safetensors at all", async () => {
    writeFileSync(join(temporary, "zip.safetensors"), "PK\x03\x04 and some more bytes");
    await expect(openModel(join(temporary, "zip.safetensors"))).rejects.toThrow(InvalidFileError);
  });

  it("configs of another model", async () => {
    const single = await openModel(fileOf("sd2-like"), {
      config: fileURLToPath(new URL("../../../models/fluent-ldm", import.meta.url)),
    });
    const weights = await single.openUNetWeights();
    await expect(weights.read("conv_in.weight", [single.unet.block_out_channels[0], 4, 3, 3])).rejects.toThrow(
      /the config and the weights belong to different models/,
    );
    await weights.close();
  });

  it("configs beside a folder, which has its own", async () => {
    await expect(openModel(folderOf("sd1-like"), { config: folderOf("sd2-like") })).rejects.toThrow(ArgumentError);
  });

  it("without configs, where the hub's cannot be had, says what to name", async () => {
    Object.assign(process.env, { HF_HOME: temporary, HF_HUB_OFFLINE: "1" });
    const opening = openModel(fileOf("sd1-like"));
    await expect(opening).rejects.toThrow(HubError);
    await expect(opening).rejects.toThrow(
      /a single file has no configs and no tokenizer, and those of stable-diffusion-v1-5\/stable-diffusion-v1-5 could not be fetched.*\(config, --config\)/,
    );
  });
});
