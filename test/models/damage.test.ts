/** Files from outside may be damaged in any way: always one clear error, never a crash or a large allocation. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { BlockcacheError } from "../../src/errors.js";
import { parseAutoencoderConfig } from "../../src/models/configs/autoencoder.js";
import { parseClipTextConfig } from "../../src/models/configs/clipText.js";
import { parseUNetConfig } from "../../src/models/configs/unet.js";
import { openSafetensors, writeSafetensors } from "../../src/models/safetensors.js";
import { openWeights } from "../../src/models/weights.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-damage-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const model = fileURLToPath(new URL("../../models/fluent-ldm/", import.meta.url));

/** Opens a file and reads all of it; says what went wrong, or nothing. */
async function readAll(bytes: Uint8Array): Promise<unknown> {
  const path = join(folder, "file.safetensors");
  writeFileSync(path, bytes);
  try {
    const file = await openSafetensors(path);
    for (const name of file.tensors.keys()) await file.readRaw(name);
    await file.close();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(BlockcacheError);
    expect((error as Error).message).toContain(path);
    return error;
  }
}

function fileOf(header: unknown, data: Uint8Array, length?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8);
  new DataView(head.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  return Uint8Array.from([...head, ...json, ...data]);
}

const entry = { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] };
const bytes = new Uint8Array(16);

describe("safetensors", () => {
  it.each([
    ["an empty file", new Uint8Array(0)],
    ["a header longer than the file", fileOf({ a: entry }, bytes, 1000n)],
    ["a header of exabytes", fileOf({ a: entry }, bytes, 2n ** 63n)],
    ["no JSON", fileOf("{", bytes)],
    ["a list", fileOf([], bytes)],
    ["offsets past the end", fileOf({ a: { ...entry, shape: [4, 4], data_offsets: [0, 64] } }, bytes)],
    ["offsets that overlap", fileOf({ a: entry, b: entry }, bytes)],
    ["a hole", fileOf({ a: { ...entry, data_offsets: [0, 16] }, b: { ...entry, data_offsets: [32, 48] } }, new Uint8Array(48))],
    ["a shape that lies", fileOf({ a: { ...entry, shape: [2, 3] } }, bytes)],
    ["a shape past all memory", fileOf({ a: { ...entry, shape: [2 ** 40, 2 ** 40] } }, bytes)],
    ["a negative size", fileOf({ a: { ...entry, shape: [-2, -2] } }, bytes)],
    ["an unknown dtype", fileOf({ a: { ...entry, dtype: "Q4" } }, bytes)],
    ["a dtype from the prototype", fileOf({ a: { ...entry, dtype: "constructor" } }, bytes)],
    ["reversed offsets", fileOf({ a: { ...entry, data_offsets: [16, 0] } }, bytes)],
    ["metadata of numbers", fileOf({ __metadata__: { a: 1 }, a: entry }, bytes)],
    ["bytes that nobody owns", fileOf({ a: entry }, new Uint8Array(20))],
    ["invalid UTF-8", Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])],
  ])("refuses %s", async (_, damaged) => {
    expect(await readAll(damaged)).toBeInstanceOf(BlockcacheError);
  });

  it("survives any damage to a real header", async () => {
    const path = join(folder, "whole.safetensors");
    await writeSafetensors(path, new Map([["a", { dtype: "F32", dims: [2, 3], data: new Float32Array(6) }], ["b", { dtype: "I64", dims: [2], data: new BigInt64Array(2) }]]), { format: "x" });
    const whole = new Uint8Array(readFileSync(path));
    expect(await readAll(whole)).toBeUndefined();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.nat(whole.length), async (changes, keep) => {
        const damaged = whole.slice();
        for (const [position, value] of changes) damaged[position] = value;
        await readAll(keep % 3 === 0 ? damaged.slice(0, keep) : damaged);
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses weights that are not finite, missing, or of another shape", async () => {
    const weights = join(folder, "weights");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(weights, { recursive: true });
    await writeSafetensors(join(weights, "model.safetensors"), new Map([["a", { dtype: "F32", dims: [3], data: Float32Array.of(1, NaN, 2) }]]));
    const opened = await openWeights(weights, "model");
    await expect(opened.read("a", [3])).rejects.toThrow(/model\.safetensors: a: expected finite numbers, found NaN at element 1/);
    await expect(opened.read("a", [2, 2])).rejects.toThrow(/expected \[2, 2\].*found \[3\]/);
    await expect(opened.read("b", [1])).rejects.toThrow(/no such tensor/);
    await opened.close();
  });

  it("refuses pickled weights and says why", async () => {
    const pickled = join(folder, "pickled");
    const { mkdirSync } = await import("node:fs");
    mkdirSync(pickled, { recursive: true });
    writeFileSync(join(pickled, "diffusion_pytorch_model.bin"), "x");
    await expect(openWeights(pickled, "diffusion_pytorch_model")).rejects.toThrow(/pickled.*safe_serialization/);
  });
});

describe.each([
  ["unet/config.json", parseUNetConfig],
  ["vae/config.json", parseAutoencoderConfig],
  ["text_encoder/config.json", parseClipTextConfig],
] as const)("%s", (name, parse) => {
  const whole = JSON.parse(readFileSync(join(model, name), "utf8")) as Record<string, unknown>;
  const odd = fc.oneof(fc.constant(null), fc.constant({}), fc.string(), fc.double(), fc.integer({ min: -5, max: 5 }), fc.constant(1e18), fc.array(fc.anything(), { maxLength: 4 }), fc.boolean(), fc.anything());

  it("any value in any key is read or refused by name", () => {
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(whole)), odd, (key, value) => {
        try {
          parse({ ...whole, [key]: value }, name);
        } catch (error) {
          expect(error).toBeInstanceOf(BlockcacheError);
          expect((error as Error).message).toContain(name);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it("anything at all in its place is read or refused", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        try {
          parse(value, name);
        } catch (error) {
          expect(error).toBeInstanceOf(BlockcacheError);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("refuses a key that it does not know, with a value that could matter", () => {
    expect(() => parse({ ...whole, some_new_layer: "on" }, name)).toThrow(/some_new_layer = "on"/);
    expect(() => parse({ ...whole, some_new_layer: null }, name)).not.toThrow();
  });
});

describe("a UNet config", () => {
  const whole = JSON.parse(readFileSync(join(model, "unet/config.json"), "utf8")) as Record<string, unknown>;
  it.each([
    [{ block_out_channels: [64, 128, 190] }, /block_out_channels\.2: expected a multiple of norm_num_groups \(32\), found 190/],
    [{ attention_head_dim: 7 }, /block_out_channels\.0: expected a multiple of attention_head_dim \(7\)/],
    [{ down_block_types: ["DownBlock2D"] }, /down_block_types: expected 3 entries/],
    [{ addition_embed_type: "text_image" }, /addition_embed_type = "text_image" is not supported/],
    [{ addition_embed_type: "text_time" }, /addition_time_embed_dim: expected a width/],
    [{ addition_embed_type: "text_time", addition_time_embed_dim: 8, projection_class_embeddings_input_dim: null }, /projection_class_embeddings_input_dim: expected a width/],
    [{ class_embed_type: "projection" }, /class_embed_type = "projection" is not supported/],
    [{ num_class_embeds: 1000 }, /num_class_embeds = 1000 is not supported/],
    [{ encoder_hid_dim: 8 }, /encoder_hid_dim = 8 is not supported/],
    [{ encoder_hid_dim_type: "text_proj" }, /encoder_hid_dim_type = "text_proj" is not supported/],
    [{ dual_cross_attention: true }, /dual_cross_attention = true is not supported/],
    [{ time_embedding_type: "fourier" }, /time_embedding_type = "fourier" is not supported/],
    [{ resnet_time_scale_shift: "scale_shift" }, /resnet_time_scale_shift = "scale_shift" is not supported/],
    [{ transformer_layers_per_block: [1, [], 1], reverse_transformer_layers_per_block: [1, 1, 1] }, /transformer_layers_per_block\.1/],
    [{ up_block_types: ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"] }, /up_block_types = "AttnUpBlock2D" is not supported/],
    [{ in_channels: -1 }, /in_channels/],
  ])("%j is refused by name", (change, message) => {
    expect(() => parseUNetConfig({ ...whole, ...change }, "unet/config.json")).toThrow(message);
  });
});
