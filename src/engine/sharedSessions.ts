import type * as ort from "onnxruntime-node";
import type { Device } from "./device.js";
import { Lazy } from "./lazy.js";

/**
 * Small sessions that serve a device for as long as it lives, one for each key. One that could not be made is tried
 * again when it is next asked for.
 *
 * @param create a session for the parts of a key
 */
export function sharedSessions<Key extends readonly (string | number)[]>(
  create: (device: Device, ...key: Key) => Promise<ort.InferenceSession>,
): (device: Device, ...key: Key) => Promise<ort.InferenceSession> {
  const sessions = new WeakMap<Device, Map<string, Lazy<ort.InferenceSession>>>();
  return (device, ...key) => {
    const known = sessions.get(device) ?? new Map<string, Lazy<ort.InferenceSession>>();
    sessions.set(device, known);
    const session = known.get(key.join(" ")) ?? new Lazy(() => create(device, ...key));
    known.set(key.join(" "), session);
    return session.get();
  };
}
