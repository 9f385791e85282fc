/** What a folder may be, and the keys by which it is refused. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { loadPipeline } from "../../src/diffusion/pipeline.js";
import { openModelFolder } from "../../src/models/folder.js";

const models = fileURLToPath(new URL("../fixtures/models", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "blockcache-folder-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

let copies = 0;

/** A copy of a fixture with some keys changed; `undefined` removes a key. */
function changed(model: string, file: string, change: Readonly<Record<string, unknown>>): string {
  const folder = join(scratch, `${model}-${copies++}`);
  cpSync(join(models, model), folder, { recursive: true, filter: (path) => !path.endsWith("reference.safetensors") });
  const path = join(folder, file);
  const whole = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  writeFileSync(path, JSON.stringify({ ...whole, ...change }));
  return folder;
}

const NONE = [null, null];

describe("a model folder", () => {
  it.each([
    [
      "sd1-like",
      "unet/config.json",
      { in_channels: 9 },
      /unet\/config\.json: in_channels = 9 is not supported beside latent_channels = 4.*inpainting/,
    ],
    [
      "sd1-like",
      "unet/config.json",
      { out_channels: 8 },
      /out_channels = 8 is not supported beside latent_channels = 4/,
    ],
    [
      "sd1-like",
      "unet/config.json",
      { cross_attention_dim: 48 },
      /cross_attention_dim: expected 32, the hidden_size of text_encoder, found 48/,
    ],
    [
      "sd1-like",
      "unet/config.json",
      { addition_embed_type: "text_time", addition_time_embed_dim: 8, projection_class_embeddings_input_dim: 80 },
      /addition_embed_type = "text_time" is not supported in a StableDiffusionPipeline/,
    ],
    [
      "sd1-like",
      "model_index.json",
      { _class_name: "StableDiffusionInpaintPipeline" },
      /_class_name = "StableDiffusionInpaintPipeline" is not supported.*text to image/,
    ],
    ["sd1-like", "model_index.json", { _class_name: 3 }, /model_index\.json: _class_name: expected a string/],
    [
      "sd1-like",
      "model_index.json",
      { text_encoder: ["transformers", "T5EncoderModel"] },
      /text_encoder = "T5EncoderModel" is not supported \(supported: CLIPTextModel\)/,
    ],
    ["sd1-like", "model_index.json", { text_encoder: NONE }, /text_encoder = null is not supported/],
    [
      "xl-like",
      "unet/config.json",
      { addition_embed_type: null },
      /addition_embed_type = null is not supported in a StableDiffusionXLPipeline/,
    ],
    [
      "xl-like",
      "unet/config.json",
      { projection_class_embeddings_input_dim: 60 },
      /projection_class_embeddings_input_dim: expected 68: .*found 60/,
    ],
    [
      "xl-like",
      "unet/config.json",
      { cross_attention_dim: 32 },
      /cross_attention_dim: expected 56, the hidden_size of text_encoder and text_encoder_2 together, found 32/,
    ],
    ["xl-like", "text_encoder_2/config.json", { projection_dim: null }, /text_encoder_2\/config\.json: projection_dim/],
    ["xl-like", "text_encoder_2/config.json", { eos_token_id: [1, 2] }, /eos_token_id = \[1,2\] is not supported/],
    [
      "xl-like",
      "model_index.json",
      { text_encoder_2: ["transformers", "CLIPTextModel"] },
      /text_encoder_2 = "CLIPTextModel" is not supported \(supported: CLIPTextModelWithProjection\)/,
    ],
    ["xl-like", "model_index.json", { tokenizer: NONE }, /tokenizer = null is not supported/],
    [
      "xl-second-encoder",
      "model_index.json",
      { requires_aesthetics_score: true },
      /requires_aesthetics_score = true is not supported: this is SDXL's refiner/,
    ],
    [
      "xl-second-encoder",
      "model_index.json",
      { _class_name: "StableDiffusionXLImg2ImgPipeline" },
      /_class_name = "StableDiffusionXLImg2ImgPipeline" is not supported.*text to image/,
    ],
  ])("%s with another %s %j is refused by name", async (model, file, change, message) => {
    await expect(openModelFolder(changed(model, file, change))).rejects.toThrow(message);
  });

  it("whose tokenizers make prompts of different lengths is refused", async () => {
    await expect(
      loadPipeline(changed("xl-like", "tokenizer_2/tokenizer_config.json", { model_max_length: 12 })),
    ).rejects.toThrow(/tokenizer_2: expected 16 tokens.*found prompts of 12 tokens/);
  });

  it("with a tokenizer that allows fewer tokens than the text encoder has positions encodes so many", async () => {
    const pipeline = await loadPipeline(
      changed("sd1-like", "tokenizer/tokenizer_config.json", { model_max_length: 9 }),
    );
    // Text is causal: the first tokens' embeddings do not depend on those that are no longer there.
    const short = await pipeline.encodePrompts(["red apple"]);
    await pipeline.dispose();
    const whole = await loadPipeline(join(models, "sd1-like"));
    const long = await whole.encodePrompts(["red apple"]);
    await whole.dispose();
    expect(short.promptEmbeds.dims).toEqual([1, 9, 32]);
    short.promptEmbeds.data.forEach((value, index) => expect(value).toBeCloseTo(long.promptEmbeds.data[index], 5));
  });

  it("of SDXL takes zeros for no negative prompt unless model_index.json says otherwise", async () => {
    expect((await openModelFolder(join(models, "xl-like"))).forceZerosForEmptyPrompt).toBe(true);
    expect(
      (await openModelFolder(changed("xl-like", "model_index.json", { force_zeros_for_empty_prompt: undefined })))
        .forceZerosForEmptyPrompt,
    ).toBe(true);
    expect(
      (await openModelFolder(changed("xl-like", "model_index.json", { force_zeros_for_empty_prompt: false })))
        .forceZerosForEmptyPrompt,
    ).toBe(false);
    expect((await openModelFolder(join(models, "sd1-like"))).forceZerosForEmptyPrompt).toBe(false);
  });
});
