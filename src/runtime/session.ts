import * as ort from "onnxruntime-node";
import type { Device } from "./device.js";

/** A tensor where the device keeps it. */
export type DeviceTensor = ort.Tensor;

/**
 * Compiles an ONNX model for a device.
 *
 * Every session has a thread pool of its own. Spinning pools of dozens of sessions fight for the
 * cores (6.5 times slower on two), so idle threads sleep.
 */
export async function createSession(model: Uint8Array, device: Device): Promise<ort.InferenceSession> {
  return ort.InferenceSession.create(model, {
    executionProviders: [device.name],
    ...(device.threads === undefined ? {} : { intraOpNumThreads: device.threads }),
    ...(device.keepsTensors ? { preferredOutputLocation: "gpu-buffer" as const } : {}),
    extra: { session: { intra_op: { allow_spinning: "0" } } },
    logSeverityLevel: 3,
  });
}
