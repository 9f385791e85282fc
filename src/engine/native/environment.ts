/**
 * onnxruntime's environment: one per process, with one pool of threads and one arena of host memory for all sessions.
 * With a pool for each session, their threads fought for the cores; with an arena for each, each kept the most that its
 * session ever took.
 */
import { availableParallelism } from "node:os";
import { DeviceError } from "../../errors.js";
import { keepHeapCompact } from "./heap.js";
import { onnxRuntime } from "./library.js";
import { check, receive, textAddresses } from "./memory.js";
import type { Pointer } from "./memory.js";

export interface Environment {
  readonly address: Pointer;
  /** threads of the shared pool; 0 where there is none because somebody else made the environment first */
  threads: number;
  /** host memory, from the arena */
  readonly hostMemory: Pointer;
  /** onnxruntime's allocator for texts that it returns */
  readonly allocator: Pointer;
}

/** OrtLoggingLevel: fatal errors only, because cuDNN's front end reports a mere fall-back as an error, and goes on. */
const LOGGING = { error: 3, fatal: 4 } as const;
/** OrtAllocatorType and OrtMemType */
const [ARENA, DEFAULT_MEMORY] = [1, 0];

let environment: Environment | undefined;

/**
 * The environment, made when it is first asked for.
 *
 * @param threads of the shared pool. Default: one per core. Only the first caller's number has an effect
 * @throws DeviceUnavailableError where the library is missing; DeviceError
 */
export function environmentOf(threads = availableParallelism()): Environment {
  environment ??= create(threads);
  return environment;
}

/** The message by which onnxruntime refuses a session that is to share threads in an environment without a pool. */
const WITHOUT_POOL = "CreateEnvWithGlobalThreadPools";

/**
 * Whether an error says that the environment has no pool of threads: then somebody else in this process, such as
 * onnxruntime-node's JavaScript API, made it first. From now on each session has threads of its own, and a warning
 * says so.
 */
export function turnsOutWithoutPool(error: unknown): boolean {
  const { threads } = environmentOf();
  if (threads === 0 || !(error instanceof DeviceError) || !error.message.includes(WITHOUT_POOL)) return false;
  environmentOf().threads = 0;
  process.emitWarning(
    "onnxruntime was used in this process before blockcache: each block has threads of its own, which is slower — load blockcache's pipeline first",
  );
  return true;
}

function create(threads: number): Environment {
  const { call } = onnxRuntime();
  keepHeapCompact();
  const options = receive("thread pool", call.CreateThreadingOptions);
  check(call.SetGlobalIntraOpNumThreads(options, threads), "thread pool");
  check(call.SetGlobalInterOpNumThreads(options, 1), "thread pool");
  const address = receive("environment", call.CreateEnvWithGlobalThreadPools, LOGGING.fatal, "blockcache", options);
  call.ReleaseThreadingOptions(options);
  const hostMemory = receive("host memory", call.CreateMemoryInfo, "Cpu", ARENA, 0, DEFAULT_MEMORY);
  const keys = ["arena_extend_strategy"];
  const AS_REQUESTED = 1n;
  const configuration = receive(
    "arena",
    call.CreateArenaCfgV2,
    textAddresses(keys),
    BigUint64Array.of(AS_REQUESTED),
    keys.length,
  );
  check(call.CreateAndRegisterAllocator(address, hostMemory, configuration), "arena");
  call.ReleaseArenaCfg(configuration);
  return { address, threads, hostMemory, allocator: receive("allocator", call.GetAllocatorWithDefaultOptions) };
}
