/** A compiled graph: an OrtSession. */
import koffi from "koffi";
import { ReleasedError } from "../../errors.js";
import type { CompiledGraph, RunOptions } from "../backend.js";
import { Tensor } from "../tensor.js";
import { environmentOf } from "./environment.js";
import { availableMemory } from "../availableMemory.js";
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
  /** bytes of the device's memory that are free now, where it can be asked */
  readonly freeBytes?: () => number;
}

/** graphs that were compiled and not given back, in this process */
let live = 0;

/** How many graphs are held now: 0 when every pipeline has been disposed of. */
export function liveGraphs(): number {
  return live;
}

/** An OrtSession, run in place where it is short and on a worker thread where it is long. */
export class NativeGraph implements CompiledGraph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #session: Pointer;
  readonly #placement: Placement | undefined;
  #running = 0;
  #released = false;
  /** of the last run; the first one plans memory, and is not known */
  #milliseconds = Infinity;

  /** @param placement absent where results are in host memory */
  constructor(session: Pointer, placement?: Placement) {
    const { call } = onnxRuntime();
    live++;
    this.#session = session;
    this.#placement = placement;
    this.inputs = namesOf(session, call.SessionGetInputCount, call.SessionGetInputName);
    this.outputs = namesOf(session, call.SessionGetOutputCount, call.SessionGetOutputName);
  }

  async run(
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
    options: RunOptions = {},
  ): Promise<Tensor[]> {
    if (this.#released)
      throw new ReleasedError(
        "graph: expected one that is still held, found one that was released — a pipeline that is disposed of cannot run",
      );
    const fed = this.inputs.filter((name) => name in feeds);
    const values = BigUint64Array.from(fed, (name) => addressOf(feeds[name].storage));
    this.#running++;
    try {
      return this.#placement === undefined
        ? await this.#runOnHost(fed, values, outputs)
        : await this.#runOnDevice(this.#placement, fed, values, outputs, options);
    } finally {
      this.#running--;
      if (this.#released) this.#free();
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    live--;
    this.#free();
  }

  #free(): void {
    if (this.#running === 0) onnxRuntime().call.ReleaseSession(this.#session);
  }

  async #runOnHost(fed: readonly string[], values: BigUint64Array, outputs: readonly string[]): Promise<Tensor[]> {
    const results = new BigUint64Array(outputs.length);
    await this.#timed(
      onnxRuntime().call.Run,
      this.#session,
      null,
      textAddresses(fed),
      values,
      fed.length,
      textAddresses(outputs),
      outputs.length,
      results,
    );
    return Array.from(results, (address) => new Tensor(new NativeValue(address, "host")));
  }

  async #runOnDevice(
    placement: Placement,
    fed: readonly string[],
    values: BigUint64Array,
    outputs: readonly string[],
    { toHost = false, waits = toHost }: RunOptions,
  ): Promise<Tensor[]> {
    const { call } = onnxRuntime();
    const memory = toHost ? environmentOf().hostMemory : placement.memory;
    const binding = receive("results", call.CreateIoBinding, this.#session);
    try {
      fed.forEach((name, index) => check(call.BindInput(binding, textAddress(name), values[index]), name));
      for (const name of outputs) check(call.BindOutputToDevice(binding, textAddress(name), memory), name);
      await this.#timed(call.RunWithBinding, this.#session, waits ? null : placement.runOptions, binding);
      return boundValues(binding, outputs.length).map(
        (address) => new Tensor(new NativeValue(address, toHost ? "host" : "device")),
      );
    } finally {
      call.ReleaseIoBinding(binding);
    }
  }

  /** Runs in place or aside, by how long it took before. */
  async #timed(run: NativeFunction, ...parameters: NativeArgument[]): Promise<void> {
    const started = clock();
    const status = mayHoldEventLoop(this.#milliseconds) ? run(...parameters) : await aside(run, ...parameters);
    this.#milliseconds = clock() - started;
    check(status, "run", this.#placement?.freeBytes ?? availableMemory);
  }
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

function namesOf(session: Pointer, count: NativeFunction, name: NativeFunction): string[] {
  const { call } = onnxRuntime();
  const { allocator } = environmentOf();
  return Array.from({ length: Number(receive("names", count, session)) }, (_, index) => {
    const address = receive("names", name, session, index, allocator);
    const text = koffi.decode.string(address);
    check(call.AllocatorFree(allocator, address), "names");
    return text;
  });
}
