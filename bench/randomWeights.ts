/** Random float16 weights of a network's shape, in the layout of a diffusers component. */
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toHalf } from "../src/numerics/half.js";
import { elementCount } from "../src/numerics/tensor.js";

export interface StoredTensor {
  readonly tensor: string;
  readonly dims: readonly number[];
}

/** Writes config.json and `<basename>.safetensors` into `folder`. */
export async function writeComponent(
  folder: string,
  basename: string,
  config: object,
  tensors: readonly StoredTensor[],
): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  // The library's own writer has no float16; the format is a length, a JSON header, the bytes.
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { tensor, dims } of tensors) {
    const length = 2 * elementCount(dims);
    header[tensor] = { dtype: "F16", shape: dims, data_offsets: [end, (end += length)] };
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, `${basename}.safetensors`), "w");
  try {
    await file.writeFile(Buffer.concat([start, json]));
    for (const { tensor, dims } of tensors) await file.writeFile(new Uint8Array(randomWeight(tensor, dims).buffer));
  } finally {
    await file.close();
  }
}

/** Numbers drawn for a tensor; a larger one repeats them. */
const PATTERN = 1 << 16;

/**
 * Uniform in ±√(3 / fan in), which keeps the variance of activations; norms are the identity. No two matrices
 * are equal: onnxruntime keeps equal weights of a session only once.
 */
function randomWeight(name: string, dims: readonly number[]): Uint16Array {
  const length = elementCount(dims);
  if (dims.length === 1) return toHalf(new Float32Array(length).fill(/norm\w*\.weight$/.test(name) ? 1 : 0));
  const bound = Math.sqrt((3 * dims[0]) / length);
  let state = [...name].reduce(
    (hash, character) => Math.imul(hash ^ character.charCodeAt(0), 16777619) >>> 0,
    2166136261,
  );
  const pattern = toHalf(
    new Float32Array(Math.min(length, PATTERN)).map(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (2 * (state / 2 ** 32) - 1) * bound;
    }),
  );
  const halves = new Uint16Array(length);
  for (let offset = 0; offset < length; offset += pattern.length)
    halves.set(pattern.subarray(0, Math.min(pattern.length, length - offset)), offset);
  return halves;
}
