/** Moves numbers between JavaScript and a device. */
import { toHalf } from "../numerics/half.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { widenFloat16 } from "../numerics/widen.js";
import type { Precision } from "../graphs/graphBuilder.js";
import type { Backend } from "./backend.js";
import type { Tensor } from "./tensor.js";

/** Where numbers go and come from; a device is one. */
export interface OnBackend {
  readonly backend: Backend;
}

/**
 * Copies numbers to the device, in the element type that the graph's input asks for; the caller must release the
 * tensor.
 */
export function upload({ backend }: OnBackend, { dims, data }: FloatTensor, precision: Precision = "float32"): Tensor {
  return backend.upload({ type: precision, dims, data: precision === "float16" ? toHalf(data) : data });
}

/** Copies a tensor's numbers into JavaScript's memory, as float32. */
export async function download({ backend }: OnBackend, tensor: Tensor): Promise<FloatTensor> {
  const dims = [...tensor.dims];
  const data = await backend.download(tensor);
  if (data instanceof Float32Array) return { dims, data };
  if (data instanceof Uint16Array) return { dims, data: widenFloat16(data) };
  throw new TypeError(`download: expected a float tensor, found ${tensor.type}`);
}

/** A float tensor's element type. It need not be the device's: a network's last blocks give float32 in any precision. */
export function precisionOf({ type }: Tensor): Precision {
  return type === "float16" ? "float16" : "float32";
}
