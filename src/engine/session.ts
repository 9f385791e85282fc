import { cpus } from "node:os";
import * as ort from "onnxruntime-node";
import type { GraphBuilder } from "../graphs/graphBuilder.js";
import type { OnnxModel } from "../graphs/onnx.js";
import type { Weights } from "../models/weights.js";
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
 *
 * @throws onnxruntime's own Error, where the device has no room or no such operator
 */
export async function createSession(
  { bytes, externalData }: OnnxModel,
  device: Device,
  { keepsMemory = false }: SessionOptions = {},
): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(bytes, {
    externalData,
    executionProviders: [device.name],
    ...(device.threads === undefined ? {} : { intraOpNumThreads: device.threads }),
    ...(device.keepsTensors ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    extra: {
      session: {
        force_spinning_stop: "1",
        intra_op: { allow_spinning: "1", spin_duration_us: "1000" },
        ...placement(device),
      },
    },
    enableCpuMemArena: keepsMemory,
    // A pattern takes all of a run's memory in one piece: without an arena a new one each time, larger than any that is free.
    enableMemPattern: keepsMemory,
    logSeverityLevel: 3,
  });
}

/**
 * Compiles graphs one after the other; one graph's weights are in JavaScript's memory at a time. Where one fails,
 * those before it are released.
 *
 * @throws InvalidFileError for weights that are missing, of another shape or not finite
 */
export async function createSessions(
  graphs: readonly GraphBuilder[],
  weights: Weights,
  device: Device,
): Promise<ort.InferenceSession[]> {
  const sessions: ort.InferenceSession[] = [];
  try {
    for (const graph of graphs) sessions.push(await createSession(await graph.encode(weights), device));
    return sessions;
  } catch (error) {
    for (const session of sessions) await session.release();
    throw error;
  }
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
