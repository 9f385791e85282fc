/** The functions of ONNX Runtime's C API that this library calls. */

/**
 * The version of `struct OrtApi` (onnxruntime_c_api.h) that is asked for. It only ever grows at its end, so that an
 * index below stays right in every later version; a library that knows this version has all of them.
 */
export const API_VERSION = 23;

type Signature = readonly [index: number, parameters: readonly string[], result: string];

const POINTER = "void *";
const TEXT = "const char *";
const SIZE = "size_t";
const INT = "int";
/** `OrtStatus *`: null on success */
const STATUS = "void *";
const NOTHING = "void";

const pointers = (count: number): string[] => Array<string>(count).fill(POINTER);

/** name → its index in `struct OrtApi`, its parameters, its result */
export const FUNCTIONS = {
  GetErrorMessage: [2, [POINTER], TEXT],
  CreateEnvWithGlobalThreadPools: [119, [INT, TEXT, POINTER, POINTER], STATUS],
  CreateSessionFromArray: [8, [POINTER, POINTER, SIZE, POINTER, POINTER], STATUS],
  Run: [9, [POINTER, POINTER, POINTER, POINTER, SIZE, POINTER, SIZE, POINTER], STATUS],
  CreateSessionOptions: [10, [POINTER], STATUS],
  DisableMemPattern: [17, [POINTER], STATUS],
  SetSessionLogSeverityLevel: [22, [POINTER, INT], STATUS],
  SetIntraOpNumThreads: [24, [POINTER, INT], STATUS],
  SessionGetInputCount: [30, [POINTER, POINTER], STATUS],
  SessionGetOutputCount: [31, [POINTER, POINTER], STATUS],
  SessionGetInputName: [36, [POINTER, SIZE, POINTER, POINTER], STATUS],
  SessionGetOutputName: [37, [POINTER, SIZE, POINTER, POINTER], STATUS],
  CreateRunOptions: [39, [POINTER], STATUS],
  CreateTensorAsOrtValue: [48, [POINTER, POINTER, SIZE, INT, POINTER], STATUS],
  CreateTensorWithDataAsOrtValue: [49, [POINTER, POINTER, SIZE, POINTER, SIZE, INT, POINTER], STATUS],
  GetTensorMutableData: [51, pointers(2), STATUS],
  GetTensorElementType: [60, pointers(2), STATUS],
  GetDimensionsCount: [61, pointers(2), STATUS],
  GetDimensions: [62, [POINTER, POINTER, SIZE], STATUS],
  GetTensorTypeAndShape: [65, pointers(2), STATUS],
  CreateMemoryInfo: [68, [TEXT, INT, INT, INT, POINTER], STATUS],
  AllocatorFree: [76, pointers(2), STATUS],
  GetAllocatorWithDefaultOptions: [78, [POINTER], STATUS],
  ReleaseStatus: [93, [POINTER], NOTHING],
  ReleaseSession: [95, [POINTER], NOTHING],
  ReleaseValue: [96, [POINTER], NOTHING],
  ReleaseTensorTypeAndShapeInfo: [99, [POINTER], NOTHING],
  ReleaseSessionOptions: [100, [POINTER], NOTHING],
  DisablePerSessionThreads: [120, [POINTER], STATUS],
  CreateThreadingOptions: [121, [POINTER], STATUS],
  ReleaseThreadingOptions: [122, [POINTER], NOTHING],
  AddSessionConfigEntry: [130, [POINTER, TEXT, TEXT], STATUS],
  CreateAllocator: [131, pointers(3), STATUS],
  RunWithBinding: [133, pointers(3), STATUS],
  CreateIoBinding: [134, pointers(2), STATUS],
  ReleaseIoBinding: [135, [POINTER], NOTHING],
  BindInput: [136, [POINTER, POINTER, POINTER], STATUS],
  BindOutput: [137, [POINTER, POINTER, POINTER], STATUS],
  BindOutputToDevice: [138, [POINTER, POINTER, POINTER], STATUS],
  GetBoundOutputValues: [140, pointers(4), STATUS],
  CreateAndRegisterAllocator: [144, pointers(3), STATUS],
  SetGlobalIntraOpNumThreads: [147, [POINTER, INT], STATUS],
  SetGlobalInterOpNumThreads: [148, [POINTER, INT], STATUS],
  ReleaseArenaCfg: [157, [POINTER], NOTHING],
  CreateArenaCfgV2: [164, [POINTER, POINTER, SIZE, POINTER], STATUS],
  AddRunConfigEntry: [165, [POINTER, TEXT, TEXT], STATUS],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, pointers(2), STATUS],
  CreateCUDAProviderOptions: [205, [POINTER], STATUS],
  UpdateCUDAProviderOptions: [206, [POINTER, POINTER, POINTER, SIZE], STATUS],
  ReleaseCUDAProviderOptions: [208, [POINTER], NOTHING],
  SessionOptionsAppendExecutionProvider: [216, [POINTER, TEXT, POINTER, POINTER, SIZE], STATUS],
  AddExternalInitializersFromFilesInMemory: [279, [POINTER, POINTER, POINTER, POINTER, SIZE], STATUS],
  CopyTensors: [386, [POINTER, POINTER, POINTER, POINTER, SIZE], STATUS],
} as const satisfies Record<string, Signature>;

/** An argument: an address, memory that JavaScript holds, a number, a text, or null. */
export type NativeArgument = bigint | number | string | null | NodeJS.TypedArray;

/** A result: an address, a number or a text; null for the null pointer, undefined for a function without one. */
export type NativeResult = bigint | number | string | null | undefined;

export interface NativeFunction {
  (...parameters: NativeArgument[]): NativeResult;
  /** The same call on a worker thread. What it is given must stay as it is until `done` is called. */
  async(...parametersAndDone: (NativeArgument | ((error: Error | null, result: NativeResult) => void))[]): void;
}

export type NativeFunctions = Readonly<Record<keyof typeof FUNCTIONS, NativeFunction>>;
