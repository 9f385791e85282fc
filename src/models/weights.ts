/** A component's weights as diffusers publishes them: one safetensors file or several, plain or a variant. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import { readJson, validate } from "../files/json.js";
import { openSafetensors } from "../files/safetensors.js";
import type { SafetensorsFile } from "../files/safetensors.js";
import type { WeightTensor } from "../numerics/tensor.js";
import { widenFloat16 } from "../numerics/widen.js";

/** Named tensors of one component. */
export interface Weights {
  /** paths of the files that hold them */
  readonly files: readonly string[];
  names(): readonly string[];
  /**
   * Reads a tensor as float32; where float16 is wanted and stored, its bits as they are.
   *
   * @param wanted Default: float32
   * @throws InvalidFileError where it is missing, not of shape `dims`, or holds NaN or infinity
   */
  read(name: string, dims: readonly number[], wanted?: "float32" | "float16"): Promise<WeightTensor>;
  close(): Promise<void>;
}

const indexSchema = z.object({
  weight_map: z
    .record(z.string(), z.string())
    .refine((map) => Object.keys(map).length > 0, "the shard of at least one tensor"),
});

/**
 * Opens the weights in a component's folder.
 *
 * @param basename `diffusion_pytorch_model` for diffusers' components, `model` for transformers'
 * @param preferred a variant, for example `fp16`, that is taken where it is there
 * @throws InvalidFileError where there are none; UnsupportedError for pickled ones
 */
export async function openWeights(folder: string, basename: string, preferred?: string): Promise<Weights> {
  const [entry] = findWeights(folder, existsSync(folder) ? await readdir(folder) : [], basename, preferred);
  return entry.endsWith(".json") ? openShards(folder, entry) : weightsOf([await openSafetensors(join(folder, entry))]);
}

/**
 * Which files of a component's folder hold its weights: the preferred variant, else the plain files, else
 * the only variant that is there.
 *
 * @param folder for messages; nothing is read
 * @param exact take no other variant than the preferred one
 * @returns one safetensors file, or an index and its shards
 * @throws InvalidFileError where there are none; UnsupportedError for pickled ones
 */
export function findWeights(
  folder: string,
  present: readonly string[],
  basename: string,
  preferred?: string,
  exact = false,
): readonly string[] {
  for (const variant of exact ? [preferred] : [preferred, undefined, soleVariant(present, basename)]) {
    const infix = variant === undefined ? "" : `.${variant}`;
    const single = `${basename}${infix}.safetensors`;
    if (present.includes(single)) return [single];
    // The second as diffusers named it before 0.31.
    const index = [`${basename}.safetensors.index${infix}.json`, `${basename}.safetensors${infix}.index.json`].find(
      (name) => present.includes(name),
    );
    if (index !== undefined) return [index, ...shardsOf(folder, present, basename, infix)];
  }
  const pickled = present.find((name) => /\.(bin|ckpt|pt|pth)$/.test(name));
  if (pickled !== undefined) {
    throw new UnsupportedError(
      `${join(folder, pickled)}: weights are pickled Python objects, which run code when they are opened — convert them: DiffusionPipeline.from_pretrained(…).save_pretrained(…, safe_serialization=True)`,
    );
  }
  throw new InvalidFileError({
    file: join(folder, `${basename}.safetensors`),
    found: present.length === 0 ? "an empty or missing folder" : `only ${present.join(", ")}`,
    expected: "weights as safetensors, in one file or in shards with an index",
  });
}

/** `name-00001-of-00002`, with the variant before the numbers or, as diffusers once wrote it, behind them. */
function shardsOf(folder: string, present: readonly string[], basename: string, infix: string): string[] {
  const shards = present.filter((name) => {
    const numbers = /-\d{5}-of-\d{5}/.exec(name)?.[0];
    return (
      numbers !== undefined &&
      [`${basename}${infix}${numbers}.safetensors`, `${basename}${numbers}${infix}.safetensors`].includes(name)
    );
  });
  const count = Number(/-of-(\d{5})/.exec(shards[0] ?? "")?.[1] ?? 0);
  if (shards.length !== count)
    throw new InvalidFileError({
      file: join(folder, shards[0]),
      found: `${shards.length} of ${count} shards`,
      expected: "all of them",
      hint: "download the missing ones",
    });
  return shards;
}

/** The variant that is there, where there is just one. */
function soleVariant(present: readonly string[], basename: string): string | undefined {
  const escaped = basename.replace(/[.]/g, "\\.");
  const pattern = new RegExp(
    `^${escaped}(?:\\.safetensors(?:\\.index)?)?\\.([A-Za-z0-9_]+)(?:\\.index)?\\.(?:safetensors|json)$`,
  );
  const variants = new Set(present.flatMap((name) => pattern.exec(name)?.[1] ?? []));
  variants.delete("safetensors");
  variants.delete("index");
  return variants.size === 1 ? [...variants][0] : undefined;
}

async function openShards(folder: string, index: string): Promise<Weights> {
  const path = join(folder, index);
  const { weight_map } = validate(indexSchema, await readJson(path), {
    file: path,
    hint: "weight_map names the shard of each tensor",
  });
  const shards = [...new Set(Object.values(weight_map))];
  const files: SafetensorsFile[] = [];
  try {
    for (const shard of shards) {
      if (shard !== shard.replace(/[\\/]/g, ""))
        throw new InvalidFileError({
          file: path,
          field: "weight_map",
          found: JSON.stringify(shard),
          expected: "the name of a file beside it",
        });
      files.push(await openSafetensors(join(folder, shard)));
    }
    for (const [name, shard] of Object.entries(weight_map)) {
      if (!files[shards.indexOf(shard)].tensors.has(name))
        throw new InvalidFileError({
          file: join(folder, shard),
          field: name,
          found: "no such tensor",
          expected: `the tensor, as ${index} says`,
        });
    }
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
  return weightsOf(files);
}

/** The tensors of one or several open files. */
export function weightsOf(files: readonly SafetensorsFile[]): Weights {
  const owner = new Map(files.flatMap((file) => [...file.tensors.keys()].map((name) => [name, file] as const)));
  return {
    files: files.map(({ path }) => path),
    names: () => [...owner.keys()],
    async read(name, dims, wanted) {
      const file = owner.get(name);
      if (file === undefined)
        throw new InvalidFileError({
          file: files[0].path,
          field: name,
          found: "no such tensor",
          expected: `[${dims.join(", ")}], as the config asks for`,
          hint: "the config and the weights belong to different models",
        });
      const stored = file.tensors.get(name);
      const found = stored?.dims ?? [];
      if (found.length !== dims.length || found.some((dim, axis) => dim !== dims[axis])) {
        throw new InvalidFileError({
          file: file.path,
          field: name,
          found: `[${found.join(", ")}]`,
          expected: `[${dims.join(", ")}], as the config asks for`,
          hint: "the config and the weights belong to different models",
        });
      }
      const data =
        wanted === "float16" && stored?.dtype === "F16"
          ? new Uint16Array((await file.readRaw(name)).buffer)
          : (await file.readFloat32(name)).data;
      const bad = firstNotFinite(data);
      if (bad >= 0)
        throw new InvalidFileError({
          file: file.path,
          field: name,
          found: `${data instanceof Float32Array ? data[bad] : widenFloat16(data.subarray(bad, bad + 1))[0]} at element ${bad}`,
          expected: "finite numbers",
          hint: "the file is damaged, or the model was trained or converted to them; take another copy of it",
        });
      return { dims, data };
    },
    async close() {
      for (const file of files) await file.close();
    },
  };
}

/** Index of the first NaN or infinity, or −1. A loop without branches looks for any: it runs over billions of numbers. */
function firstNotFinite(data: Float32Array | Uint16Array): number {
  if (data instanceof Float32Array) {
    let zero = 0;
    for (let index = 0; index < data.length; index++) zero += data[index] * 0;
    return zero === 0 ? -1 : data.findIndex((value) => !Number.isFinite(value));
  }
  const isNotFinite = (bits: number): boolean => (bits & 0x7c00) === 0x7c00;
  let found = 0;
  for (let index = 0; index < data.length; index++) found |= Number(isNotFinite(data[index]));
  return found === 0 ? -1 : data.findIndex(isNotFinite);
}
