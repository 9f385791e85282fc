/** A compiled graph: an OrtSession. */
import koffi from "koffi";
import { ReleasedError } from "../../errors.js";
import type { CompiledGraph, RunOptions } from "../backend.js";
import type { Tensor } from "../tensor.js";
import { environmentOf } from "./environment.js";
import type { NativeFunction } from "./functions.js";
import { onnxRuntime } from "./library.js";
import { check, receive } from "./memory.js";
import type { Pointer } from "./memory.js";
import type { SessionRuns } from "./sessionRuns.js";

/** graphs compiled and not yet released, in this process */
let live = 0;

/** How many graphs are held now: 0 once every pipeline has been disposed of. */
export function liveGraphs(): number {
  return live;
}

/** Owns an OrtSession, and releases it once no run needs it. */
export class NativeGraph implements CompiledGraph {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly #session: Pointer;
  readonly #runs: SessionRuns;
  #running = 0;
  #released = false;

  constructor(session: Pointer, runs: SessionRuns) {
    const { call } = onnxRuntime();
    live++;
    this.#session = session;
    this.#runs = runs;
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
        "graph: expected one that is still held, found one that was released — a pipeline cannot run after it was disposed of",
      );
    const names = this.inputs.filter((name) => name in feeds);
    this.#running++;
    try {
      return await this.#runs.run({ names, tensors: names.map((name) => feeds[name]) }, outputs, options);
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
    if (this.#running > 0) return;
    this.#runs.release?.();
    onnxRuntime().call.ReleaseSession(this.#session);
  }
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
