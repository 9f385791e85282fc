/**
 * Device memory is not garbage-collected, and a block's C may be read by the network, a cache and a
 * measurement at once. Each tensor has one owner when it is made; whoever keeps it longer retains it,
 * and the last to release it disposes of it. Host tensors need none of this and ignore it.
 */
import type { DeviceTensor } from "./session.js";

const extraOwners = new WeakMap<DeviceTensor, number>();

/** Adds an owner, and returns the tensor. */
export function retain(tensor: DeviceTensor): DeviceTensor {
  extraOwners.set(tensor, (extraOwners.get(tensor) ?? 0) + 1);
  return tensor;
}

/** Gives up one owner's share; the last one disposes of the device memory. */
export function release(tensor: DeviceTensor): void {
  const others = extraOwners.get(tensor) ?? 0;
  if (others > 0) extraOwners.set(tensor, others - 1);
  else if (tensor.location !== "cpu") tensor.dispose();
}
