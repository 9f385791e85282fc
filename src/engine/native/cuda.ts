/**
 * CUDA's runtime, for what onnxruntime's C API leaves to its caller: one stream for all sessions, so that nothing
 * waits between blocks, and copies between host and card on that stream.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { DeviceError, DeviceUnavailableError } from "../../errors.js";
import type { NativeFunction, NativeResult } from "./functions.js";
import { onnxRuntime } from "./library.js";
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

/** onnxruntime's own, which lie beside its library */
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

/** cudaStreamNonBlocking; cudaMemcpyKind */
const NON_BLOCKING = 1;
const COPY = { hostToDevice: 1, deviceToHost: 2 } as const;

/** One stream of one card. */
export class CudaStream {
  readonly address: Pointer;
  readonly #call: Readonly<Record<"copy" | "synchronize" | "errorText" | "memory", NativeFunction>>;

  /** Throws DeviceUnavailableError where CUDA's runtime library is missing, DeviceError where the card does not answer. */
  constructor() {
    const library = openRuntime();
    const define = (name: string, parameters: string[], result = "int"): NativeFunction =>
      library.func(name, result, parameters) as NativeFunction;
    this.#call = {
      copy: define("cudaMemcpyAsync", ["void *", "void *", "size_t", "int", "void *"]),
      synchronize: define("cudaStreamSynchronize", ["void *"]),
      memory: define("cudaMemGetInfo", ["void *", "void *"]),
      errorText: define("cudaGetErrorString", ["int"], "const char *"),
    };
    const stream = new BigUint64Array(1);
    this.#check(define("cudaStreamCreateWithFlags", ["void *", "uint"])(stream, NON_BLOCKING), "stream");
    this.address = stream[0];
  }

  /** Copies from memory that may change as soon as this returns: pageable memory is staged before the call ends. */
  copyToDevice(target: Pointer, source: NodeJS.TypedArray): void {
    this.#check(
      this.#call.copy(target, source, source.byteLength, COPY.hostToDevice, this.address),
      "copy to the card",
    );
  }

  /** Copies when everything before it on the stream is done; the wait is on a worker thread. */
  async copyToHost(target: NodeJS.TypedArray, source: Pointer): Promise<void> {
    this.#check(
      this.#call.copy(target, source, target.byteLength, COPY.deviceToHost, this.address),
      "copy from the card",
    );
    const status = await new Promise<NativeResult>((resolve, reject) =>
      this.#call.synchronize.async(this.address, (error: Error | null, result: NativeResult) =>
        error ? reject(error) : resolve(result),
      ),
    );
    this.#check(status, "wait for the card");
  }

  /** Bytes of the card's memory that are free now. */
  freeBytes(): number {
    const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
    this.#check(this.#call.memory(free, total), "memory");
    return Number(free[0]);
  }

  #check(status: NativeResult, what: string): void {
    if (status !== 0) throw new DeviceError(`cuda: ${what}: ${String(this.#call.errorText(Number(status)))}`);
  }
}

function openRuntime(): ReturnType<typeof koffi.load> {
  const names = RUNTIME_LIBRARIES[process.platform] ?? [];
  const found = names.find(loads);
  if (found !== undefined) return koffi.load(found);
  throw new DeviceUnavailableError(
    `cuda: expected CUDA's runtime library (${names.join(" or ") || "none for this platform"}), found none on the library path`,
  );
}
