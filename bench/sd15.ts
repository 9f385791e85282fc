/** An UNet of Stable Diffusion 1.5's shape with random weights, float16 on disk (1.7 GB). */
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toHalf } from "../src/graphs/half.js";
import { describeUNet } from "../src/graphs/unet.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { elementCount } from "../src/models/tensor.js";
import { SD15_UNET } from "./shapes.js";
import { wholeGraph } from "./singleSession.js";

/** Writes config.json and weights into `folder`, in the layout of a diffusers component. */
export async function writeSd15(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), JSON.stringify(SD15_UNET));
  const { weights } = wholeGraph(describeUNet(parseUNetConfig(SD15_UNET, "config.json")));
  // The library's own writer has no float16; the format is a length, a JSON header, the bytes.
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { tensor, dims } of weights) {
    const length = 2 * elementCount(dims);
    header[tensor] = { dtype: "F16", shape: dims, data_offsets: [end, (end += length)] };
  }
  const text = JSON.stringify(header);
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(BigInt(json.length));
  const file = await open(join(folder, "diffusion_pytorch_model.safetensors"), "w");
  try {
    await file.writeFile(Buffer.concat([start, json]));
    for (const { tensor, dims } of weights) await file.writeFile(new Uint8Array(toHalf(randomWeight(tensor, dims)).buffer));
  } finally {
    await file.close();
  }
}

/** Uniform in ±√(3 / fan in), which keeps the variance of activations; norms are the identity. */
function randomWeight(name: string, dims: readonly number[]): Float32Array {
  const length = elementCount(dims);
  if (dims.length === 1) return new Float32Array(length).fill(name.endsWith("norm.weight") || /norm\w*\.weight$/.test(name) ? 1 : 0);
  const bound = Math.sqrt((3 * dims[0]) / length);
  let state = 12345 + length;
  return new Float32Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (2 * (state / 2 ** 32) - 1) * bound;
  });
}
