/** Tensors between host memory and a device. */
import * as ort from "onnxruntime-node";
import { FLOAT32, GraphBuilder } from "../graphs/graphBuilder.js";
import type { Precision } from "../graphs/graphBuilder.js";
import { toHalf } from "../numerics/half.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { widenFloat16 } from "../numerics/widen.js";
import type { Device } from "./device.js";
import { retain } from "./ownership.js";
import { createSession } from "./session.js";
import type { DeviceTensor } from "./session.js";
import { sharedSessions } from "./sharedSessions.js";

/**
 * Wraps host numbers for a session, in the element type that the graph's input asks for. In float32 they are not
 * copied, and stay the caller's.
 */
export function fromHost(tensor: FloatTensor, precision: Precision = "float32"): DeviceTensor {
  const dims = [...tensor.dims];
  return precision === "float16"
    ? new ort.Tensor("float16", toHalf(tensor.data), dims)
    : retain(new ort.Tensor("float32", tensor.data, dims));
}

/**
 * Reads a tensor into host memory as float32. A host tensor's float32 numbers are not copied, and the caller may keep them.
 * `getData()` on a GPU tensor aborts the process in onnxruntime-node 1.30, so an Identity graph with
 * its result on the host reads it back.
 */
export async function toHost(device: Device, tensor: DeviceTensor): Promise<FloatTensor> {
  const host = tensor.location === "cpu" ? tensor : await readBack(device, tensor);
  const data = host.data;
  if (data instanceof Float32Array) return { dims: retain(host).dims, data };
  if (host.type === "float16") {
    const { buffer, byteOffset, length } = data as Uint16Array;
    return { dims: host.dims, data: widenFloat16(new Uint16Array(buffer, byteOffset, length)) };
  }
  throw new TypeError(`toHost: expected a float tensor, found ${host.type}`);
}

/** A float tensor's element type. It need not be the device's: a network's last blocks give float32 in any precision. */
export function precisionOf({ type }: DeviceTensor): Precision {
  return type === "float16" ? "float16" : "float32";
}

async function readBack(device: Device, tensor: DeviceTensor): Promise<ort.Tensor> {
  const { y } = await (await readerOf(device, precisionOf(tensor), tensor.dims.length)).run({ x: tensor });
  return y;
}

/** An Identity graph whose result is on the host. */
const readerOf = sharedSessions((device, precision: Precision, rank: number) => {
  const graph = new GraphBuilder("read back", { ...FLOAT32, precision });
  const dims = Array.from({ length: rank }, (_, axis) => `dim_${axis}`);
  graph.output("y", graph.input("x", dims), dims);
  return createSession(graph.encodeWithoutWeights(), { ...device, keepsTensors: false });
});
