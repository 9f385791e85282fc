/** Files from outside may be damaged in any way: always one clear error, never a crash or a large allocation. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import { BlockcacheError, InvalidFileError } from "../../src/errors.js";
import { parseAutoencoderConfig } from "../../src/models/configs/autoencoder.js";
import { parseClipTextConfig } from "../../src/models/configs/clipText.js";
import { parseUNetConfig } from "../../src/models/configs/unet.js";
import { readJson, writeJson } from "../../src/files/json.js";
import { createSafetensorsWriter, openSafetensors, writeSafetensors } from "../../src/files/safetensors.js";
import { openWeights } from "../../src/models/weights.js";

const folder = mkdtempSync(join(tmpdir(), "blockcache-damage-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const model = fileURLToPath(new URL("../../models/fluent-ldm", import.meta.url));
const unet = fileURLToPath(new URL("../fixtures/models/three-levels-odd/unet", import.meta.url));
const INDEX = "diffusion_pytorch_model.safetensors.index.json";

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
  const json =
    typeof header === "string" ? new TextEncoder().encode(header) : new TextEncoder().encode(JSON.stringify(header));
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
    [
      "a hole",
      fileOf({ a: { ...entry, data_offsets: [0, 16] }, b: { ...entry, data_offsets: [32, 48] } }, new Uint8Array(48)),
    ],
    ["a shape that lies", fileOf({ a: { ...entry, shape: [2, 3] } }, bytes)],
    ["a shape past all memory", fileOf({ a: { ...entry, shape: [2 ** 40, 2 ** 40] } }, bytes)],
    ["a negative size", fileOf({ a: { ...entry, shape: [-2, -2] } }, bytes)],
    ["an unknown dtype", fileOf({ a: { ...entry, dtype: "Q4" } }, bytes)],
    ["a dtype from the prototype", fileOf({ a: { ...entry, dtype: "constructor" } }, bytes)],
    ["reversed offsets", fileOf({ a: { ...entry, data_offsets: [16, 0] } }, bytes)],
    ["metadata of a list", fileOf({ __metadata__: [], a: entry }, bytes)],
    ["metadata of numbers", fileOf({ __metadata__: { a: 1 }, a: entry }, bytes)],
    ["bytes that nobody owns", fileOf({ a: entry }, new Uint8Array(20))],
    ["invalid UTF-8", Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe])],
  ])("refuses %s", async (_, damaged) => {
    expect(await readAll(damaged)).toBeInstanceOf(BlockcacheError);
  });

  // Bytes of 8 elements, as safetensors 0.8 for Python opens them (safe_open), one dtype a file; it knows no others.
  it.each(
    Object.entries({ BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8 })
      .concat(Object.entries({ F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8, I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32 }))
      .concat(Object.entries({ F32: 32, C64: 64, F64: 64, I64: 64, U64: 64 })),
  )("opens a tensor of %s that takes %i bytes, and no other number of them", async (dtype, size) => {
    const of = (bytes: number, shape = [8]): Uint8Array =>
      fileOf({ a: { dtype, shape, data_offsets: [0, bytes] } }, new Uint8Array(bytes));
    expect(await readAll(of(size))).toBeUndefined();
    expect(await readAll(of(size + 1))).toBeInstanceOf(InvalidFileError);
    // An odd number of half bytes ends within one.
    if (size < 8) expect(await readAll(of(size / 2, [3]))).toBeInstanceOf(InvalidFileError);
  });

  it("opens null for metadata, and reads the tensors beside those of a dtype that it cannot read", async () => {
    const header = {
      __metadata__: null,
      quantised: { dtype: "F8_E8M0", shape: [4], data_offsets: [0, 4] },
      a: { dtype: "F32", shape: [1], data_offsets: [4, 8] },
    };
    const data = new Uint8Array(8);
    new DataView(data.buffer).setFloat32(4, 1.5, true);
    const path = join(folder, "newer.safetensors");
    writeFileSync(path, fileOf(header, data));
    const file = await openSafetensors(path);
    expect(file.metadata).toEqual({});
    expect((await file.readFloat32("a")).data).toEqual(Float32Array.of(1.5));
    await expect(file.readFloat32("quantised")).rejects.toThrow(/quantised: expected F64, .*found F8_E8M0/);
    await file.close();
  });

  it("survives any damage to a real header", async () => {
    const path = join(folder, "whole.safetensors");
    await writeSafetensors(
      path,
      new Map([
        ["a", { dtype: "F32", dims: [2, 3], data: new Float32Array(6) }],
        ["b", { dtype: "I64", dims: [2], data: new BigInt64Array(2) }],
      ]),
      { format: "x" },
    );
    const whole = new Uint8Array(readFileSync(path));
    expect(await readAll(whole)).toBeUndefined();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(whole.length),
        async (changes, keep) => {
          const damaged = whole.slice();
          for (const [position, value] of changes) damaged[position] = value;
          await readAll(keep % 3 === 0 ? damaged.slice(0, keep) : damaged);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("refuses weights that are not finite, missing, or of another shape", async () => {
    const weights = join(folder, "weights");
    mkdirSync(weights, { recursive: true });
    await writeSafetensors(
      join(weights, "model.safetensors"),
      new Map([["a", { dtype: "F32", dims: [3], data: Float32Array.of(1, NaN, 2) }]]),
    );
    const opened = await openWeights(weights, "model");
    await expect(opened.read("a", [3])).rejects.toThrow(
      /model\.safetensors: a: expected finite numbers, found NaN at element 1/,
    );
    await expect(opened.read("a", [2, 2])).rejects.toThrow(/expected \[2, 2\].*found \[3\]/);
    await expect(opened.read("b", [1])).rejects.toThrow(/no such tensor/);
    await opened.close();
  });

  it("gives float16 as it is stored where that is wanted, and refuses what is not finite there too", async () => {
    const weights = join(folder, "halves");
    mkdirSync(weights, { recursive: true });
    const [one, minusTwo, largest, infinity] = [0x3c00, 0xc000, 0x7bff, 0x7c00];
    const header = Buffer.from(
      JSON.stringify({
        good: { dtype: "F16", shape: [3], data_offsets: [0, 6] },
        bad: { dtype: "F16", shape: [1], data_offsets: [6, 8] },
      }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(
      join(weights, "model.safetensors"),
      Buffer.concat([length, header, Buffer.from(Uint16Array.of(one, minusTwo, largest, infinity).buffer)]),
    );
    const opened = await openWeights(weights, "model");
    expect((await opened.read("good", [3], "float16")).data).toEqual(Uint16Array.of(one, minusTwo, largest));
    expect((await opened.read("good", [3])).data).toEqual(Float32Array.of(1, -2, 65504));
    for (const wanted of ["float16", "float32"] as const)
      await expect(opened.read("bad", [1], wanted)).rejects.toThrow(
        /bad: expected finite numbers, found Infinity at element 0/,
      );
    await opened.close();
  });

  it("refuses pickled weights and says why", async () => {
    const pickled = join(folder, "pickled");
    mkdirSync(pickled, { recursive: true });
    writeFileSync(join(pickled, "diffusion_pytorch_model.bin"), "x");
    await expect(openWeights(pickled, "diffusion_pytorch_model")).rejects.toThrow(/pickled.*safe_serialization/);
  });

  it("refuses a folder in a file's place", async () => {
    const weights = join(folder, "folders");
    mkdirSync(join(weights, "model.safetensors"), { recursive: true });
    await expect(openWeights(weights, "model")).rejects.toThrow(InvalidFileError);
    await expect(openWeights(weights, "model")).rejects.toThrow(
      /model\.safetensors: expected a safetensors file, found a folder$/,
    );
  });

  it.each([
    ["a shard that is the folder above", { weight_map: { a: ".." } }],
    ["an index without tensors", { weight_map: {} }],
    ["an index of numbers", { weight_map: { a: 1 } }],
  ])("refuses %s", async (_, index) => {
    const weights = join(folder, "index");
    mkdirSync(weights, { recursive: true });
    writeFileSync(join(weights, "model.safetensors.index.json"), JSON.stringify(index));
    await expect(openWeights(weights, "model")).rejects.toThrow(InvalidFileError);
  });
});

describe("writing safetensors", () => {
  const tensor = (value: number) => ({ dtype: "F32" as const, dims: [64], data: new Float32Array(64).fill(value) });
  const written = (): string[] =>
    readdirSync(folder)
      .filter((name) => name.startsWith("written"))
      .sort();
  /** What a nearly full disk does: half of what is asked for, and no error, as long as `bytes` are left. */
  async function withDiskOf(bytes: number, work: () => Promise<void>): Promise<void> {
    const handle = await open(join(folder, "any"), "w");
    await handle.close();
    const prototype = Object.getPrototypeOf(handle) as {
      write(data: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
    };
    const { write } = prototype;
    let left = bytes;
    const spy = vi.spyOn(prototype, "write").mockImplementation(async function (
      this: typeof prototype,
      data,
      offset,
      length,
      position,
    ) {
      const part = Math.min(left, Math.ceil(length / 2));
      if (part === 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      left -= part;
      return write.call(this, data, offset, part, position);
    });
    try {
      await work();
    } finally {
      spy.mockRestore();
    }
  }

  it("goes on where the disk takes a part at a time", async () => {
    const path = join(folder, "written.safetensors");
    await withDiskOf(Infinity, () =>
      writeSafetensors(
        path,
        new Map([
          ["a", tensor(1)],
          ["b", tensor(2)],
        ]),
      ),
    );
    const file = await openSafetensors(path);
    expect((await file.readFloat32("b")).data).toEqual(tensor(2).data);
    await file.close();
  });

  it.each([
    [0, "the header"],
    [100, "the header's middle"],
    [400, "a tensor's middle"],
  ])("on a disk with room for %i bytes leaves what was there, and nothing else", async (bytes) => {
    const path = join(folder, "written.safetensors");
    await writeSafetensors(path, new Map([["a", tensor(1)]]));
    const before = readFileSync(path);
    await withDiskOf(bytes, () =>
      expect(
        writeSafetensors(
          path,
          new Map([
            ["a", tensor(3)],
            ["b", tensor(4)],
          ]),
        ),
      ).rejects.toThrow(/ENOSPC/),
    );
    expect(readFileSync(path)).toEqual(before);
    expect(written()).toEqual(["written.safetensors"]);
  });

  it("under a folder's name, without one of its tensors, or with one of another type, leaves nothing", async () => {
    mkdirSync(join(folder, "writtenFolder", "inside"), { recursive: true });
    await expect(writeSafetensors(join(folder, "writtenFolder"), new Map([["a", tensor(1)]]))).rejects.toThrow(
      /writtenFolder: expected a file that can be written, found a folder/,
    );
    const writer = await createSafetensorsWriter(
      join(folder, "writtenPart.safetensors"),
      new Map([
        ["a", tensor(1)],
        ["b", tensor(2)],
      ]),
    );
    await writer.write("a", tensor(1).data);
    await expect(writer.close()).rejects.toThrow(/writtenPart\.safetensors: b was never written/);
    await expect(
      writeSafetensors(
        join(folder, "writtenType.safetensors"),
        new Map([["a", { dtype: "F64", dims: [2], data: new Float32Array(2) }]]),
      ),
    ).rejects.toThrow(/writtenType\.safetensors: a: expected a Float64Array for F64, found a Float32Array/);
    expect(written()).toEqual(["written.safetensors", "writtenFolder"]);
  });
});

describe("shards of a variant", () => {
  const shards = readdirSync(unet).filter((name) => name.includes("-of-"));
  it.each([
    [
      "before 0.31",
      (name: string) =>
        name
          .replace(".safetensors.index.json", ".safetensors.fp16.index.json")
          .replace(/(-of-\d+)\.safetensors/, "$1.fp16.safetensors"),
    ],
    [
      "since",
      (name: string) =>
        name
          .replace(".safetensors.index.json", ".safetensors.index.fp16.json")
          .replace(/(-\d+-of-\d+)\.safetensors/, ".fp16$1.safetensors"),
    ],
  ])("as diffusers named them %s", async (_, rename) => {
    const renamed = mkdtempSync(join(folder, "variant-"));
    for (const name of shards) cpSync(join(unet, name), join(renamed, rename(name)));
    const index = readFileSync(join(unet, INDEX), "utf8");
    writeFileSync(join(renamed, rename(INDEX)), index.replace(/[\w-]+-of-\d+\.safetensors/g, rename));
    const plain = await openWeights(unet, "diffusion_pytorch_model");
    for (const preferred of ["fp16", undefined]) {
      const opened = await openWeights(renamed, "diffusion_pytorch_model", preferred);
      expect([...opened.names()].sort()).toEqual([...plain.names()].sort());
      expect(await opened.read("conv_in.bias", [16])).toEqual(await plain.read("conv_in.bias", [16]));
      await opened.close();
    }
    await plain.close();
    rmSync(join(renamed, rename(shards[0])));
    await expect(openWeights(renamed, "diffusion_pytorch_model", "fp16")).rejects.toThrow(
      `${shards.length - 1} of ${shards.length} shards`,
    );
  });
});

describe("JSON", () => {
  it("that is none is refused in one line, though the text has several", async () => {
    const path = join(folder, "lines.json");
    writeFileSync(path, "red apple\ncat face\n");
    const error = await readJson(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InvalidFileError);
    expect((error as InvalidFileError).message).toMatch(/lines\.json: expected JSON, found [^\n]+$/);
  });

  it.each([-Infinity, Infinity, NaN].map(String))(
    "Python's bare %s is its name, inside text it stays as it is",
    async (name) => {
      const path = join(folder, "numbers.json");
      writeFileSync(
        path,
        `{"a": ${name}, "b":[1,${name} , ${name}], "prompt, ${name}, in it": "a sign: \\", ${name}, \\\\", "c": ${name}}`,
      );
      expect(await readJson(path)).toEqual({
        a: name,
        b: [1, name, name],
        [`prompt, ${name}, in it`]: `a sign: ", ${name}, \\`,
        c: name,
      });
    },
  );

  it("what was written is what is read, whatever the text", async () => {
    const path = join(folder, "round.json");
    const word = fc.constantFrom("NaN", "Infinity", "-Infinity", ", ", ": ", "[", "]", '"', "\\", "\n", " a");
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.array(word, { maxLength: 5 }).map((words) => words.join("")),
          fc.array(word, { maxLength: 8 }).map((words) => words.join("")),
        ),
        async (value) => {
          await writeJson(path, value);
          expect(await readJson(path)).toEqual(JSON.parse(JSON.stringify(value)));
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe.each([
  ["unet/config.json", parseUNetConfig],
  ["vae/config.json", parseAutoencoderConfig],
  ["text_encoder/config.json", parseClipTextConfig],
] as const)("%s", (name, parse) => {
  const whole = JSON.parse(readFileSync(join(model, name), "utf8")) as Record<string, unknown>;
  const odd = fc.oneof(
    fc.constant(null),
    fc.constant({}),
    fc.string(),
    fc.double(),
    fc.integer({ min: -5, max: 5 }),
    fc.constant(1e18),
    fc.array(fc.anything(), { maxLength: 4 }),
    fc.boolean(),
    fc.anything(),
  );

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

describe("a text encoder's config", () => {
  const whole = JSON.parse(readFileSync(join(model, "text_encoder/config.json"), "utf8")) as Record<string, unknown>;
  it("may be written out in full, as transformers 4 did", () => {
    // What CLIPTextConfig().to_dict() holds there besides (transformers 4.30, configuration_utils.py).
    const dumped = {
      add_cross_attention: false,
      bad_words_ids: null,
      begin_suppress_tokens: null,
      chunk_size_feed_forward: 0,
      cross_attention_hidden_size: null,
      decoder_start_token_id: null,
      diversity_penalty: 0.0,
      do_sample: false,
      early_stopping: false,
      encoder_no_repeat_ngram_size: 0,
      exponential_decay_length_penalty: null,
      finetuning_task: null,
      forced_bos_token_id: null,
      forced_eos_token_id: null,
      id2label: { 0: "LABEL_0", 1: "LABEL_1" },
      is_decoder: false,
      is_encoder_decoder: false,
      label2id: { LABEL_0: 0, LABEL_1: 1 },
      length_penalty: 1.0,
      max_length: 20,
      min_length: 0,
      no_repeat_ngram_size: 0,
      num_beam_groups: 1,
      num_beams: 1,
      num_return_sequences: 1,
      output_attentions: false,
      output_hidden_states: false,
      output_scores: false,
      prefix: null,
      problem_type: null,
      pruned_heads: {},
      remove_invalid_values: false,
      repetition_penalty: 1.0,
      return_dict: true,
      return_dict_in_generate: false,
      sep_token_id: null,
      suppress_tokens: null,
      task_specific_params: null,
      temperature: 1.0,
      tf_legacy_loss: false,
      tie_encoder_decoder: false,
      tie_word_embeddings: true,
      tokenizer_class: null,
      top_k: 50,
      top_p: 1.0,
      torch_dtype: null,
      torchscript: false,
      typical_p: 1.0,
      use_bfloat16: false,
    };
    expect(parseClipTextConfig({ ...dumped, ...whole }, "text_encoder/config.json")).toEqual(
      parseClipTextConfig(whole, "text_encoder/config.json"),
    );
    expect(() => parseClipTextConfig({ ...whole, pruned_heads: { 0: [1] } }, "text_encoder/config.json")).toThrow(
      /pruned_heads = \{"0":\[1\]\} is not supported/,
    );
  });
});

describe("a UNet config", () => {
  const whole = JSON.parse(readFileSync(join(model, "unet/config.json"), "utf8")) as Record<string, unknown>;
  it.each([
    [
      { block_out_channels: [48, 96, 190, 192] },
      /block_out_channels\.2: expected a multiple of norm_num_groups \(16\), found 190/,
    ],
    [{ attention_head_dim: 7 }, /block_out_channels\.0: expected a multiple of attention_head_dim \(7\)/],
    [{ down_block_types: ["DownBlock2D"] }, /down_block_types: expected 4 entries/],
    [{ addition_embed_type: "text_image" }, /addition_embed_type = "text_image" is not supported/],
    [{ addition_embed_type: "text_time" }, /addition_time_embed_dim: expected a width/],
    [
      { addition_embed_type: "text_time", addition_time_embed_dim: 8, projection_class_embeddings_input_dim: null },
      /projection_class_embeddings_input_dim: expected a width/,
    ],
    [{ class_embed_type: "projection" }, /class_embed_type = "projection" is not supported/],
    [{ num_class_embeds: 1000 }, /num_class_embeds = 1000 is not supported/],
    [{ encoder_hid_dim: 8 }, /encoder_hid_dim = 8 is not supported/],
    [{ encoder_hid_dim_type: "text_proj" }, /encoder_hid_dim_type = "text_proj" is not supported/],
    [{ dual_cross_attention: true }, /dual_cross_attention = true is not supported/],
    [{ time_embedding_type: "fourier" }, /time_embedding_type = "fourier" is not supported/],
    [{ resnet_time_scale_shift: "scale_shift" }, /resnet_time_scale_shift = "scale_shift" is not supported/],
    [
      { transformer_layers_per_block: [1, [], 1, 1], reverse_transformer_layers_per_block: [1, 1, 1, 1] },
      /transformer_layers_per_block\.1/,
    ],
    [
      { up_block_types: ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"] },
      /up_block_types = "AttnUpBlock2D" is not supported/,
    ],
    [{ in_channels: -1 }, /in_channels/],
  ])("%j is refused by name", (change, message) => {
    expect(() => parseUNetConfig({ ...whole, ...change }, "unet/config.json")).toThrow(message);
  });
});
