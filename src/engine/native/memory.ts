/** Addresses, texts and results in and out of the C API. */
import koffi from "koffi";
import { DeviceError } from "../../errors.js";
import { onnxRuntime } from "./library.js";
import type { NativeArgument, NativeFunction, NativeResult } from "./functions.js";

/** An address in native memory. */
export type Pointer = bigint;

/** C strings that live as long as the process: names of values, options. */
const texts = new Map<string, { readonly memory: Uint8Array; readonly address: Pointer }>();

/** The address of a text, zero-terminated UTF-8, that stays where it is. */
export function textAddress(text: string): Pointer {
  const known = texts.get(text);
  if (known !== undefined) return known.address;
  const memory = new TextEncoder().encode(`${text}\0`);
  const address = koffi.address(memory);
  texts.set(text, { memory, address });
  return address;
}

/** The addresses of several texts, as `const char *const *`. */
export function textAddresses(list: readonly string[]): BigUint64Array {
  return BigUint64Array.from(list, textAddress);
}

/** Where in onnxruntime's sources a condition failed: of no use to readers of the message. */
const SOURCE_PLACE = /^\/\S+\.(?:cc|h|cu):\d+ .*? was false\. /;

/** How onnxruntime, CUDA and cuDNN say that there is no memory. */
const NO_MEMORY = /allocat|out of memory|bad_alloc/i;

/**
 * Throws a DeviceError with what a call's `OrtStatus *` says; does nothing where it is null.
 *
 * @param freeBytes what is free, for the message where memory ran out
 */
export function check(status: NativeResult, what: string, freeBytes?: () => number): void {
  if (status === null || status === undefined || status === 0n) return;
  const { call } = onnxRuntime();
  const message = (call.GetErrorMessage(status) as string).replace(SOURCE_PLACE, "");
  call.ReleaseStatus(status);
  const free =
    freeBytes !== undefined && NO_MEMORY.test(message)
      ? ` — ${(freeBytes() / 2 ** 30).toFixed(2)} GiB are free now: sample fewer images at once, or smaller ones`
      : "";
  throw new DeviceError(`${what}: ${message.split("\n")[0]}${free}`);
}

/** Where calls in place put the address that they return; it is read before the next call is made. */
const received = new BigUint64Array(1);

/** Calls a function whose last parameter receives an address, and returns the address. Throws DeviceError. */
export function receive(what: string, call: NativeFunction, ...parameters: readonly NativeArgument[]): Pointer {
  check(call(...parameters, received), what);
  return received[0];
}

/** The same on a worker thread, so that the event loop stays free. */
export async function receiveAside(
  what: string,
  call: NativeFunction,
  ...parameters: readonly NativeArgument[]
): Promise<Pointer> {
  const received = new BigUint64Array(1);
  check(await aside(call, ...parameters, received), what);
  return received[0];
}

/** Memory that calls on worker threads read and write: an address alone does not keep it from being collected. */
const inUse = new Set<readonly NodeJS.TypedArray[]>();

/** Keeps memory from being collected until the work that was given its addresses is done. */
export async function whileHeld<T>(memory: readonly NodeJS.TypedArray[], work: () => Promise<T>): Promise<T> {
  inUse.add(memory);
  try {
    return await work();
  } finally {
    inUse.delete(memory);
  }
}

let memcpy: NativeFunction | undefined;

/** Copies native memory into JavaScript's, or the other way. Both must hold that many bytes. */
export function copyMemory(
  target: Pointer | NodeJS.TypedArray,
  source: Pointer | NodeJS.TypedArray,
  bytes: number,
): void {
  // On Windows, a program does not export the functions of its C library; elsewhere it does.
  memcpy ??= koffi
    .load(process.platform === "win32" ? "msvcrt.dll" : null)
    .func("memcpy", "void", ["void *", "void *", "size_t"]) as NativeFunction;
  memcpy(target, source, bytes);
}

/** A call on a worker thread. */
export function aside(call: NativeFunction, ...parameters: readonly NativeArgument[]): Promise<NativeResult> {
  const memory = parameters.filter((each) => ArrayBuffer.isView(each));
  return whileHeld(
    memory,
    () =>
      new Promise((resolve, reject) =>
        call.async(...parameters, (error: Error | null, result: NativeResult) =>
          error ? reject(error) : resolve(result),
        ),
      ),
  );
}

/** The addresses of memory that JavaScript holds, as `void *const *`. */
export function addressesOf(list: readonly NodeJS.TypedArray[]): BigUint64Array {
  return BigUint64Array.from(list, (memory) => koffi.address(memory));
}
