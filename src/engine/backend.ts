/** What the engine needs from a runtime, whichever it is; each backend serves one device. */
import type { ElementType, OnnxModel } from "../graphs/onnx.js";
import type { ElementArray, Tensor, TensorLocation } from "./tensor.js";

/** Numbers on their way to a device. */
export interface HostNumbers {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: ElementArray;
}

export interface RunOptions {
  /**
   * whether the results are put in host memory, for the processor to read. Default: false, they stay where the device
   * keeps its tensors
   */
  readonly toHost?: boolean;
  /** whether the device has finished when the run returns; otherwise it may still be computing. Default: false */
  readonly waits?: boolean;
}

/** A graph ready to run. Runs may overlap where the device computes several at once. */
export interface CompiledGraph {
  /** the graph's inputs, in its order */
  readonly inputs: readonly string[];
  /** the graph's results, in its order */
  readonly outputs: readonly string[];
  /**
   * Computes the results that are asked for, in their order; each has one owner, the caller. Tensors that are fed still
   * belong to their owners, who must keep them until the run is over.
   *
   * @param feeds the graph's inputs by name
   * @throws DeviceError where the device refuses: no memory, lost, no such operator; ReleasedError after `release`
   */
  run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[], options?: RunOptions): Promise<Tensor[]>;
  /** Releases the graph; its memory is freed once runs that are under way have ended. */
  release(): void;
}

/** A runtime on one device. */
export interface Backend {
  /** Compiles a graph. Throws DeviceError where the device has no room for it or no such operator. */
  compile(model: OnnxModel): Promise<CompiledGraph>;
  /**
   * A tensor in host memory, for numbers that JavaScript writes through its `view()`: zeros at first. Its memory is
   * given back when it is released, whereas a JavaScript array would wait for the garbage collector.
   */
  allocate(type: ElementType, dims: readonly number[]): Tensor;
  /**
   * Copies numbers to the device's memory, or to the host's where operators read them there (sizes); the tensor has one
   * owner, the caller.
   */
  upload(numbers: HostNumbers, location?: TensorLocation): Tensor;
  /** Copies a tensor's numbers to JavaScript's memory, once everything that computes them is done. */
  download(tensor: Tensor): Promise<ElementArray>;
}
