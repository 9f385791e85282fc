/**
 * The ONNX Runtime library that npm's onnxruntime-node brings, called through its C API: the package's own JavaScript
 * API copies every result to the host on most devices, holds the event loop, and shares neither threads nor memory
 * between sessions.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import koffi from "koffi";
import { DeviceUnavailableError } from "../../errors.js";
import { widenCallStacks } from "./callStacks.js";
import { API_VERSION, FUNCTIONS } from "./functions.js";
import type { NativeFunction, NativeFunctions } from "./functions.js";

/** File names of the library by platform; Linux x64 is tested, the others are not. */
const LIBRARY_FILES: Partial<Record<NodeJS.Platform, string>> = {
  linux: "libonnxruntime.so.1",
  darwin: "libonnxruntime.1.dylib",
  win32: "onnxruntime.dll",
};

/** The loaded library. */
export interface OnnxRuntime {
  /** for example 1.30.0 */
  readonly version: string;
  readonly file: string;
  readonly call: NativeFunctions;
  /** held because koffi unloads a library when its object is collected, and the calls above would go nowhere */
  readonly library: object;
}

let loaded: OnnxRuntime | undefined;

/**
 * Loads the library, once per process.
 *
 * @throws DeviceUnavailableError where the package, its library for this platform, or the version is missing
 */
export function onnxRuntime(): OnnxRuntime {
  loaded ??= load(libraryFile());
  return loaded;
}

/** The library's path in the installed package. Throws DeviceUnavailableError where there is none for this platform. */
function libraryFile(): string {
  const name = LIBRARY_FILES[process.platform];
  const require = createRequire(import.meta.url);
  let folder: string;
  try {
    folder = dirname(require.resolve("onnxruntime-node/package.json"));
  } catch {
    throw new DeviceUnavailableError(
      "onnxruntime-node: expected the package beside blockcache, found none — npm install",
    );
  }
  const file = join(folder, "bin", "napi-v6", process.platform, process.arch, name ?? "");
  if (name === undefined || !existsSync(file))
    throw new DeviceUnavailableError(
      `onnxruntime-node: expected its library for ${process.platform} ${process.arch} at ${file}, found none — its package has Linux and Windows on x64 and arm64, and macOS on arm64; npm ci reinstalls it`,
    );
  return file;
}

/**
 * Opens a library file and checks that it speaks the version of the API that {@link FUNCTIONS} is written for.
 *
 * @throws DeviceUnavailableError
 */
export function load(file: string): OnnxRuntime {
  widenCallStacks();
  let library: ReturnType<typeof koffi.load>;
  let base: bigint;
  try {
    library = koffi.load(file);
    // OrtApiBase: GetApi, GetVersionString
    base = library.func("OrtGetApiBase", "void *", [])() as bigint;
  } catch (error) {
    throw new DeviceUnavailableError(
      `${file}: expected ONNX Runtime's library, found: ${(error as Error).message.split("\n")[0]} — npm ci reinstalls onnxruntime-node`,
    );
  }
  const version = koffi.call(koffi.decode(base, 8, "void *"), koffi.proto("const char *", [])) as string;
  const api = koffi.call(koffi.decode(base, "void *"), koffi.proto("void *", ["uint32_t"]), API_VERSION) as
    bigint | null;
  if (api === null)
    throw new DeviceUnavailableError(
      `${file}: expected ONNX Runtime with version ${API_VERSION} of its C API, found ${version} — npm ci installs the version that package.json asks for`,
    );
  const call = Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, [index, parameters, result]]) => {
      const address = koffi.decode(api, 8 * index, "void *") as bigint;
      return [name, koffi.decode(address, koffi.proto(result, [...parameters])) as NativeFunction];
    }),
  ) as NativeFunctions;
  return { version, file, call, library };
}
