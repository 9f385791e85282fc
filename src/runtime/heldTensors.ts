import { ELEMENT_BYTES } from "../graphs/onnx.js";
import { release, retain } from "./ownership.js";
import type { DeviceTensor } from "./session.js";
import { precisionOf } from "./transfer.js";

/** Tensors kept beyond the run that gave them, and the bytes that they take. */
export class HeldTensors {
  #bytes = 0;
  #peakBytes = 0;

  /** Most bytes held at any time. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Takes over the share of a tensor's owner (ownership.ts), and returns the tensor. */
  hold(tensor: DeviceTensor): DeviceTensor {
    this.#bytes += bytesOf(tensor);
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    return tensor;
  }

  /** Holds a tensor that its owner keeps too, and returns it. */
  retain(tensor: DeviceTensor): DeviceTensor {
    return this.hold(retain(tensor));
  }

  /** Gives up a tensor that is held. */
  release(tensor: DeviceTensor): void {
    this.#bytes -= bytesOf(tensor);
    release(tensor);
  }
}

function bytesOf(tensor: DeviceTensor): number {
  return tensor.size * ELEMENT_BYTES[precisionOf(tensor)];
}
