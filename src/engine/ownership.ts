/**
 * A tensor's memory is given back when its last owner is done with it. A device's is not garbage-collected; a host's
 * is, but the collector then takes its time from the cores that compute, and each block writes to memory that no
 * cache holds (measuring change in every block cost 12 % of a sampling instead of 5, bench/live). A block's C may be
 * read by the network, a cache and a measurement at once: each tensor has one owner when it is made, whoever keeps
 * it longer retains it, and the last to release it disposes of it.
 *
 * Numbers that JavaScript has in hand stay: `fromHost` and `toHost` retain what they share and nobody releases it.
 */
import { MessageChannel } from "node:worker_threads";
import type { DeviceTensor } from "./session.js";

const extraOwners = new WeakMap<DeviceTensor, number>();

/** Adds an owner, and returns the tensor. */
export function retain(tensor: DeviceTensor): DeviceTensor {
  extraOwners.set(tensor, (extraOwners.get(tensor) ?? 0) + 1);
  return tensor;
}

/** Whether a tensor has an owner beside the one who asks, so that its numbers must stay. */
export function isShared(tensor: DeviceTensor): boolean {
  return (extraOwners.get(tensor) ?? 0) > 0;
}

/** Gives up one owner's share; the last one disposes of the memory. */
export function release(tensor: DeviceTensor): void {
  const others = extraOwners.get(tensor) ?? 0;
  if (others > 0) {
    extraOwners.set(tensor, others - 1);
    return;
  }
  const memory = tensor.location === "cpu" && ArrayBuffer.isView(tensor.data) ? tensor.data.buffer : undefined;
  tensor.dispose();
  if (memory instanceof ArrayBuffer) free(memory);
}

/**
 * Frees an array's memory now. Node 20 has no `ArrayBuffer.prototype.transfer`; but what moves to a port that nobody
 * reads is dropped on the way (3 µs).
 */
function free(memory: ArrayBuffer): void {
  nowhere.postMessage(undefined, [memory]);
}

const { port1: nowhere, port2: reader } = new MessageChannel();
reader.close();
