/** How a session computes: into host memory, or into the device's. */
import koffi from "koffi";
import type { RunOptions } from "../backend.js";
import { availableMemory } from "../availableMemory.js";
import { Tensor } from "../tensor.js";
import { environmentOf } from "./environment.js";
import { clock, mayHoldEventLoop } from "./eventLoop.js";
import type { NativeArgument, NativeFunction } from "./functions.js";
import { onnxRuntime } from "./library.js";
import { aside, check, receive, textAddress, textAddresses } from "./memory.js";
import type { Pointer } from "./memory.js";
import { NativeValue, addressOf } from "./values.js";

/** Where a device keeps results, and the options of every run whose results stay there. */
export interface Placement {
  readonly memory: Pointer;
  readonly runOptions: Pointer;
  /** bytes of the device's memory that are free now, where that can be found out */
  readonly freeBytes?: () => number;
  /** how many runs of all sessions may be on a worker thread now */
  readonly underWay: { count: number };
}

/** What a run reads: names of the graph's inputs, and a tensor for each. */
export interface Fed {
  readonly names: readonly string[];
  readonly tensors: readonly Tensor[];
}

/** Makes the runs of one session. */
export interface SessionRuns {
  /** The results that are asked for, in their order, each with one owner. Throws DeviceError. */
  run(fed: Fed, outputs: readonly string[], options: RunOptions): Promise<Tensor[]>;
  /** Releases what is held besides the session; absent where that is nothing. */
  release?(): void;
}

/** A call that is made in place where it was short the last time, and on a worker thread where it was long. */
class TimedCall {
  /** of the last call; unknown before the first, which also plans memory */
  #milliseconds = Infinity;
  readonly #freeBytes: () => number;

  constructor(freeBytes: () => number) {
    this.#freeBytes = freeBytes;
  }

  async run(call: NativeFunction, ...parameters: NativeArgument[]): Promise<void> {
    const started = clock();
    const status = mayHoldEventLoop(this.#milliseconds) ? call(...parameters) : await aside(call, ...parameters);
    this.#milliseconds = clock() - started;
    check(status, "run", this.#freeBytes);
  }
}

/** Runs whose results are in host memory. */
export class HostRuns implements SessionRuns {
  readonly #session: Pointer;
  readonly #call = new TimedCall(availableMemory);

  constructor(session: Pointer) {
    this.#session = session;
  }

  async run(fed: Fed, outputs: readonly string[]): Promise<Tensor[]> {
    const { names } = fed;
    const values = BigUint64Array.from(addressesOf(fed));
    const results = new BigUint64Array(outputs.length);
    await this.#call.run(
      onnxRuntime().call.Run,
      this.#session,
      null,
      textAddresses(names),
      values,
      names.length,
      textAddresses(outputs),
      outputs.length,
      results,
    );
    return Array.from(results, (address) => new Tensor(new NativeValue(address, "host")));
  }
}

/** Runs whose results stay on the device, in the session's memory, unless they are wanted on the host. */
export class DeviceRuns implements SessionRuns {
  readonly #session: Pointer;
  readonly #placement: Placement;
  readonly #call: TimedCall;

  constructor(session: Pointer, placement: Placement) {
    this.#session = session;
    this.#placement = placement;
    this.#call = new TimedCall(placement.freeBytes ?? availableMemory);
  }

  async run(fed: Fed, outputs: readonly string[], { toHost = false, waits = toHost }: RunOptions): Promise<Tensor[]> {
    const { call } = onnxRuntime();
    const memory = toHost ? environmentOf().hostMemory : this.#placement.memory;
    const binding = bindInputs(this.#session, fed.names, addressesOf(fed));
    this.#placement.underWay.count++;
    try {
      for (const name of outputs) check(call.BindOutputToDevice(binding, textAddress(name), memory), name);
      await this.#call.run(call.RunWithBinding, this.#session, waits ? null : this.#placement.runOptions, binding);
      return boundValues(binding, outputs.length).map(
        (address) => new Tensor(new NativeValue(address, toHost ? "host" : "device")),
      );
    } finally {
      this.#placement.underWay.count--;
      call.ReleaseIoBinding(binding);
    }
  }
}

/** Addresses of the OrtValues that a run reads. */
export function addressesOf({ tensors }: Fed): Pointer[] {
  return tensors.map(({ storage }) => addressOf(storage));
}

/** A binding of a session's inputs; the caller must release it. */
export function bindInputs(session: Pointer, names: readonly string[], addresses: readonly Pointer[]): Pointer {
  const { call } = onnxRuntime();
  const binding = receive("results", call.CreateIoBinding, session);
  names.forEach((name, index) => check(call.BindInput(binding, textAddress(name), addresses[index]), name));
  return binding;
}

function boundValues(binding: Pointer, count: number): Pointer[] {
  const { call } = onnxRuntime();
  const { allocator } = environmentOf();
  const [list, length] = [new BigUint64Array(1), new BigUint64Array(1)];
  check(call.GetBoundOutputValues(binding, allocator, list, length), "results");
  const values = Array.from(new BigUint64Array(koffi.view(list[0], 8 * count)));
  check(call.AllocatorFree(allocator, list[0]), "results");
  return values;
}
