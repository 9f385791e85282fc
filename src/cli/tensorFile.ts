import { InvalidFileError } from "../errors.js";
import { openSafetensors, writeSafetensors } from "../files/safetensors.js";
import type { SafetensorsFile } from "../files/safetensors.js";
import type { FloatTensor } from "../numerics/tensor.js";

/**
 * Reads named tensors of a safetensors file as float32, integers too; each must be there, with as many dimensions as
 * its layout.
 *
 * @param wanted name → layout, for example `[batch, tokens, width]`
 * @param optional likewise; these may be absent
 */
export async function readTensors(
  path: string,
  wanted: Readonly<Record<string, string>>,
  optional: Readonly<Record<string, string>> = {},
): Promise<Record<string, FloatTensor>> {
  const file = await openSafetensors(path);
  try {
    const tensors: Record<string, FloatTensor> = {};
    for (const [name, layout] of Object.entries({ ...wanted, ...optional })) {
      const found = file.tensors.get(name);
      const expected = `a tensor ${layout}`;
      if (found === undefined && name in optional) continue;
      if (found === undefined) {
        throw new InvalidFileError({
          file: path,
          field: name,
          found: `no such tensor (there are ${[...file.tensors.keys()].slice(0, 8).join(", ") || "none"})`,
          expected,
        });
      }
      if (found.dims.length !== layout.split(",").length)
        throw new InvalidFileError({ file: path, field: name, found: `[${found.dims.join(", ")}]`, expected });
      tensors[name] = await readNumbers(file, name);
    }
    return tensors;
  } finally {
    await file.close();
  }
}

/** torch makes timesteps and sizes int64 by default. */
async function readNumbers(file: SafetensorsFile, name: string): Promise<FloatTensor> {
  const entry = file.tensors.get(name);
  if (entry?.dtype !== "I64" && entry?.dtype !== "I32") return file.readFloat32(name);
  const { buffer } = await file.readRaw(name);
  const data =
    entry.dtype === "I64"
      ? Float32Array.from(new BigInt64Array(buffer), Number)
      : Float32Array.from(new Int32Array(buffer));
  return { dims: entry.dims, data };
}

/** Writes float32 tensors to a safetensors file, in one go. */
export async function writeTensors(path: string, tensors: Readonly<Record<string, FloatTensor>>): Promise<void> {
  await writeSafetensors(
    path,
    new Map(Object.entries(tensors).map(([name, { dims, data }]) => [name, { dtype: "F32" as const, dims, data }])),
  );
}
