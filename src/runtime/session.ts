import { cpus } from "node:os";
import * as ort from "onnxruntime-node";
import type { Device } from "./device.js";

/** A tensor where the device keeps it. */
export type DeviceTensor = ort.Tensor;

export interface SessionOptions {
  /** Whether the session keeps the memory of a run for the next one, on cpu. Default: false */
  readonly keepsMemory?: boolean;
}

/**
 * Compiles an ONNX model for a device.
 *
 * Every session has a thread pool of its own. Pools that go on spinning between their sessions' runs
 * fight for the cores (6.5 times slower on two); pools that sleep between operators pay a wake-up for
 * each. So the threads spin within a run, longer than any operator that keeps only one of them busy, and
 * are stopped at its end: one wake-up a run.
 */
export async function createSession(model: Uint8Array, device: Device, { keepsMemory = false }: SessionOptions = {}): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [device.name],
    ...(device.threads === undefined ? {} : { intraOpNumThreads: device.threads }),
    ...(device.keepsTensors ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    extra: { session: { force_spinning_stop: "1", intra_op: { allow_spinning: "1", spin_duration_us: "1000" }, ...placement(device) } },
    enableCpuMemArena: keepsMemory,
    logSeverityLevel: 3,
  });
}

/**
 * Where the threads take the whole machine, each of a pool's has a processor of its own, as onnxruntime
 * does by itself where no number is asked for: left to itself, Linux often wakes one on the processor of
 * the thread that it should help (1.3 times slower on two). The main thread is the pool's first, and stays free.
 */
function placement({ threads }: Device): { readonly intra_op_thread_affinities?: string } {
  if (threads === undefined || threads < 2 || threads !== cpus().length) return {};
  return { intra_op_thread_affinities: Array.from({ length: threads - 1 }, (_, thread) => thread + 2).join(";") };
}
