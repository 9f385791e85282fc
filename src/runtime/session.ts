import * as ort from "onnxruntime-node";
import type { Device } from "./device.js";

/** A tensor where the device keeps it. */
export type DeviceTensor = ort.Tensor;

/**
 * Compiles an ONNX model for a device.
 *
 * Every session has a thread pool of its own. Pools that spin for long fight for the cores (6.5 times
 * slower on two); pools that never spin pay a wake-up for each operator. 20 µs bridges the gap between
 * two operators of one session and no more: 6 to 9 % faster than 0 on the embedded model, where 300 µs
 * is 10 to 40 % slower.
 */
export async function createSession(model: Uint8Array, device: Device): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [device.name],
    ...(device.threads === undefined ? {} : { intraOpNumThreads: device.threads }),
    ...(device.keepsTensors ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    extra: { session: { intra_op: { allow_spinning: "1", spin_duration_us: "20" } } },
    enableCpuMemArena: false,
    logSeverityLevel: 3,
  });
}
