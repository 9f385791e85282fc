/** What the engine needs of a runtime, whichever it is: one of these serves one device. */
import type { ElementType, OnnxModel } from "../graphs/onnx.js";
import type { ElementArray, Tensor, TensorLocation } from "./tensor.js";

/** Numbers on their way to a device. */
export interface HostNumbers {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: ElementArray;
}

export interface RunOptions {
  /** results that the processor will read: they are given in host memory. Default: where the device keeps its tensors */
  readonly toHost?: boolean;
  /** Whether the device has finished when the run returns; else it may still be computing. Default: false */
  readonly waits?: boolean;
}

/** A graph ready to run. Runs may overlap where the device computes several at once. */
export interface CompiledGraph {
  /** the graph's inputs, in its order */
  readonly inputs: readonly string[];
  /** the graph's results, in its order */
  readonly outputs: readonly string[];
  /**
   * Computes the results that are asked for, in their order; each has one owner, the caller. Tensors that are fed
   * stay their owners', who keep them until the run is over.
   *
   * @param feeds the graph's inputs by name
   * @throws DeviceError where the device refuses: no memory, lost, no such operator; ReleasedError after `release`
   */
  run(feeds: Readonly<Record<string, Tensor>>, outputs: readonly string[], options?: RunOptions): Promise<Tensor[]>;
  /** Gives up the graph; its memory is given back when runs that are under way have ended. */
  release(): void;
}

/** A runtime on one device. */
export interface Backend {
  /** Compiles a graph. Throws DeviceError where the device has no room for it or no such operator. */
  compile(model: OnnxModel): Promise<CompiledGraph>;
  /**
   * A tensor in host memory, for numbers that JavaScript writes through its `view()`: zeros at first, and given back
   * when it is released, where an array of JavaScript's would wait for the collector.
   */
  allocate(type: ElementType, dims: readonly number[]): Tensor;
  /**
   * Copies numbers to the device's memory, or to the host's for what operators read there (sizes); the tensor has one
   * owner, the caller.
   */
  upload(numbers: HostNumbers, location?: TensorLocation): Tensor;
  /** Copies a tensor's numbers to JavaScript's memory, when everything that makes them is done. */
  download(tensor: Tensor): Promise<ElementArray>;
}
