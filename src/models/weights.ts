/** A component's weights as diffusers publishes them: one safetensors file or several, plain or a variant. */
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { InvalidFileError } from "../errors.js";
import { readJson } from "../files/json.js";
import { openSafetensors } from "../files/safetensors.js";
import type { SafetensorsFile } from "../files/safetensors.js";
import type { WeightTensor } from "../numerics/tensor.js";
import { widenFloat16 } from "../numerics/widen.js";
import { findWeights } from "./weightFiles.js";
import type { WeightsName } from "./weightFiles.js";

/** Named tensors of one component. */
export interface Weights {
  /** paths of the files that hold them */
  readonly files: readonly string[];
  names(): readonly string[];
  /**
   * Reads a tensor as float32; where float16 is wanted and stored, its bits unchanged.
   *
   * @param wanted Default: float32
   * @throws InvalidFileError where it is missing, not of shape `dims`, or holds NaN or infinity
   */
  read(name: string, dims: readonly number[], wanted?: "float32" | "float16"): Promise<WeightTensor>;
  close(): Promise<void>;
}

/**
 * Opens the weights in a component's folder.
 *
 * @param preferred a variant, for example `fp16`, that is taken where it exists
 * @throws InvalidFileError where there are none; UnsupportedError for pickled ones
 */
export async function openWeights(folder: string, basename: WeightsName, preferred?: string): Promise<Weights> {
  const present = existsSync(folder) ? (await readdir(folder)).filter((name) => isThere(join(folder, name))) : [];
  const readIndex = (name: string): Promise<unknown> => readJson(join(folder, name));
  const names = (await findWeights(folder, present, basename, readIndex, { variant: preferred })).files;
  const files: SafetensorsFile[] = [];
  try {
    for (const name of names) files.push(await openSafetensors(join(folder, name)));
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
  return weightsOf(files);
}

/**
 * Whether diffusers would find it: a link that leads nowhere is no file, nor is a folder named like an index. A folder
 * named like weights is left in, so that reading it says what is wrong.
 */
function isThere(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  return found !== undefined && (found.isFile() || !path.endsWith(".index.json"));
}

/** The tensors of one or several open files; of two with the same name, the last file's. */
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
          hint: "the file is damaged, or training or conversion went wrong; take another copy of it",
        });
      return { dims, data };
    },
    async close() {
      for (const file of files) await file.close();
    },
  };
}

/**
 * Index of the first NaN or infinity, or −1. Whether there is any is found by a loop without branches, since it runs
 * over billions of numbers.
 */
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
