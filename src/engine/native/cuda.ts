/**
 * CUDA's runtime, for what onnxruntime's C API leaves to its caller: one stream for all sessions, so that nothing
 * waits between blocks, copies on that stream, and recordings of what was launched on it.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { DeviceError, DeviceUnavailableError } from "../../errors.js";
import { widenCallStacks } from "./callStacks.js";
import type { NativeFunction, NativeResult } from "./functions.js";
import { onnxRuntime } from "./library.js";
import { aside } from "./memory.js";
import type { Pointer } from "./memory.js";

/** Newest first; the number is CUDA's major version. */
const RUNTIME_LIBRARIES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ["libcudart.so.13", "libcudart.so.12"],
  win32: ["cudart64_13.dll", "cudart64_12.dll"],
};

/** What onnxruntime's CUDA provider loads, each under the names of the versions that it may be built for; Linux's. */
const LIBRARIES: readonly (readonly string[])[] = [
  ["libcuda.so.1"],
  ["libcudart.so.13", "libcudart.so.12"],
  ["libcublas.so.13", "libcublas.so.12"],
  ["libcublasLt.so.13", "libcublasLt.so.12"],
  ["libcurand.so.10"],
  ["libcufft.so.12", "libcufft.so.11"],
  ["libcudnn.so.9"],
];

/** onnxruntime's own libraries, which lie beside its main one */
const PROVIDERS = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

/** Libraries that `cuda` needs and that are not found: onnxruntime's own in its folder, CUDA's on the library path. */
export function missingCudaLibraries(): readonly string[] {
  const folder = dirname(onnxRuntime().file);
  const providers = PROVIDERS.map((name) => join(folder, name)).filter((file) => !existsSync(file));
  return [...providers, ...LIBRARIES.filter((names) => !names.some(loads)).map((names) => names.join(" or "))];
}

function loads(name: string): boolean {
  try {
    koffi.load(name);
    return true;
  } catch {
    return false;
  }
}

/** cudaStreamNonBlocking; cudaMemcpyKind; cudaStreamCaptureModeRelaxed: memory may be allocated during a recording */
const NON_BLOCKING = 1;
const COPY = { hostToDevice: 1, deviceToHost: 2, onDevice: 3 } as const;
const RELAXED = 2;

/** cudaErrorNotReady: the stream is still computing */
const NOT_READY = 600;

/** cudaGraphNodeType: what a recording may not hold, since it cannot be repeated */
const NODE = { copy: 1, hostCall: 3 } as const;
/** size of cudaMemcpy3DParms, and the offset of its `kind` */
const COPY_NODE = { bytes: 160, kindAt: 152 } as const;

/** What was launched on a stream, to be launched again as one (cudaGraphExec_t). */
export interface Recording {
  readonly executable: Pointer;
}

/** One stream of one card. */
export class CudaStream {
  readonly address: Pointer;
  /** held because koffi unloads a library when its object is collected */
  readonly library: ReturnType<typeof koffi.load>;
  readonly #call: Readonly<Record<keyof typeof SIGNATURES, NativeFunction>>;

  /** Throws DeviceUnavailableError where CUDA's runtime library is missing, DeviceError where the card does not answer. */
  constructor() {
    this.library = openRuntime();
    this.#call = Object.fromEntries(
      Object.entries(SIGNATURES).map(([name, [result, ...parameters]]) => [
        name,
        this.library.func(name, result, [...parameters]) as NativeFunction,
      ]),
    ) as Record<keyof typeof SIGNATURES, NativeFunction>;
    this.address = this.#receive("stream", (stream) => this.#call.cudaStreamCreateWithFlags(stream, NON_BLOCKING));
  }

  /** Copies from memory that may change as soon as this returns: pageable memory is staged before the call ends. */
  copyToDevice(target: Pointer, source: NodeJS.TypedArray): void {
    this.#copy(target, source, source.byteLength, COPY.hostToDevice);
  }

  /** Copies from one place on the card to another, when everything before it on the stream is done. */
  copyOnDevice(target: Pointer, source: Pointer, bytes: number): void {
    this.#copy(target, source, bytes, COPY.onDevice);
  }

  /** Copies when everything before it on the stream is done; until then the event loop is free. */
  async copyToHost(target: NodeJS.TypedArray, source: Pointer): Promise<void> {
    await this.finish();
    // The memory is not pinned, so that this returns when the copy is done.
    this.#copy(target, source, target.byteLength, COPY.deviceToHost);
  }

  /** Waits, on a worker thread, until everything on the stream is done. */
  async finish(): Promise<void> {
    const status = this.#call.cudaStreamQuery(this.address);
    if (status === NOT_READY)
      this.#check(await aside(this.#call.cudaStreamSynchronize, this.address), "wait for the card");
    else this.#check(status, "wait for the card");
  }

  /** Bytes of the card's memory that are free now. */
  freeBytes(): number {
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    this.#check(this.#call.cudaMemGetInfo(free, total), "memory");
    return Number(free[0]);
  }

  /**
   * Records what `launch` puts on the stream; nothing of it is computed. It must have run once before, so that every
   * choice is made and all memory is allocated.
   *
   * @throws DeviceError where part of it cannot be recorded: a wait, a call to the host, a copy from or to the host's
   *   memory; whatever `launch` throws
   */
  record(launch: () => void): Recording {
    this.#check(this.#call.cudaStreamBeginCapture(this.address, RELAXED), "record");
    try {
      launch();
    } catch (error) {
      // Ended in any case: until then the stream computes nothing.
      const { graph } = this.#endCapture();
      if (graph !== 0n) this.#call.cudaGraphDestroy(graph);
      throw error;
    }
    const { status, graph } = this.#endCapture();
    this.#check(status, "record");
    try {
      this.#requireRepeatable(graph);
      return {
        executable: this.#receive("record", (result) => this.#call.cudaGraphInstantiateWithFlags(result, graph, 0)),
      };
    } finally {
      this.#call.cudaGraphDestroy(graph);
    }
  }

  #endCapture(): { readonly status: NativeResult; readonly graph: Pointer } {
    const graph = new BigUint64Array(1);
    const status = this.#call.cudaStreamEndCapture(this.address, graph);
    // CUDA remembers its last error, and onnxruntime would take it for the next call's.
    this.#call.cudaGetLastError();
    return { status, graph: graph[0] };
  }

  /** Launches a recording. */
  replay({ executable }: Recording): void {
    this.#check(this.#call.cudaGraphLaunch(executable, this.address), "replay");
  }

  /** Gives a recording up; if it is computing, it finishes first. */
  forget({ executable }: Recording): void {
    this.#call.cudaGraphExecDestroy(executable);
  }

  /**
   * Throws DeviceError for what cannot be repeated: host memory that a recording reads may be gone when it is replayed,
   * and a call to the host is made only once.
   */
  #requireRepeatable(graph: Pointer): void {
    const count = new BigUint64Array(1);
    this.#check(this.#call.cudaGraphGetNodes(graph, null, count), "record");
    const nodes = new BigUint64Array(Number(count[0]));
    this.#check(this.#call.cudaGraphGetNodes(graph, nodes, count), "record");
    for (const node of nodes) {
      const type = new Int32Array(1);
      this.#check(this.#call.cudaGraphNodeGetType(node, type), "record");
      if (type[0] === NODE.hostCall) throw new DeviceError("cuda: record: a call to the host cannot be repeated");
      if (type[0] !== NODE.copy) continue;
      const copy = new Uint8Array(COPY_NODE.bytes);
      this.#check(this.#call.cudaGraphMemcpyNodeGetParams(node, copy), "record");
      if (new DataView(copy.buffer).getInt32(COPY_NODE.kindAt, true) !== COPY.onDevice)
        throw new DeviceError("cuda: record: a copy from or to the host's memory cannot be repeated");
    }
  }

  #copy(target: Pointer | NodeJS.TypedArray, source: Pointer | NodeJS.TypedArray, bytes: number, kind: number): void {
    this.#check(this.#call.cudaMemcpyAsync(target, source, bytes, kind, this.address), "copy");
  }

  #receive(what: string, call: (result: BigUint64Array) => NativeResult): Pointer {
    const result = new BigUint64Array(1);
    this.#check(call(result), what);
    return result[0];
  }

  #check(status: NativeResult, what: string): void {
    if (status !== 0) throw new DeviceError(`cuda: ${what}: ${String(this.#call.cudaGetErrorString(Number(status)))}`);
  }
}

/** name → its result and parameters, as cuda_runtime_api.h of CUDA 12 and 13 has them */
const SIGNATURES = {
  cudaGetLastError: ["int"],
  cudaGetErrorString: ["const char *", "int"],
  cudaStreamCreateWithFlags: ["int", "void *", "uint"],
  cudaStreamQuery: ["int", "void *"],
  cudaStreamSynchronize: ["int", "void *"],
  cudaMemcpyAsync: ["int", "void *", "void *", "size_t", "int", "void *"],
  cudaMemGetInfo: ["int", "void *", "void *"],
  cudaStreamBeginCapture: ["int", "void *", "int"],
  cudaStreamEndCapture: ["int", "void *", "void *"],
  cudaGraphGetNodes: ["int", "void *", "void *", "void *"],
  cudaGraphNodeGetType: ["int", "void *", "void *"],
  cudaGraphMemcpyNodeGetParams: ["int", "void *", "void *"],
  cudaGraphInstantiateWithFlags: ["int", "void *", "void *", "uint64"],
  cudaGraphDestroy: ["int", "void *"],
  cudaGraphLaunch: ["int", "void *", "void *"],
  cudaGraphExecDestroy: ["int", "void *"],
} as const;

function openRuntime(): ReturnType<typeof koffi.load> {
  widenCallStacks();
  const names = RUNTIME_LIBRARIES[process.platform] ?? [];
  const found = names.find(loads);
  if (found !== undefined) return koffi.load(found);
  throw new DeviceUnavailableError(
    `cuda: expected CUDA's runtime library (${names.join(" or ") || "none for this platform"}), found none on the library path`,
  );
}
