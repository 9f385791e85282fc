import type { CompiledGraph } from "./backend.js";
import type { OnnxModel } from "../graphs/onnx.js";
import type { Device } from "./device.js";
import { Lazy } from "./lazy.js";

/**
 * Small graphs that a device keeps for as long as it lives, one per key. A graph that could not be made is tried again
 * when next asked for.
 *
 * @param model the graph for the parts of a key
 */
export function sharedGraphs<Key extends readonly (string | number)[]>(
  model: (...key: Key) => OnnxModel,
): (device: Device, ...key: Key) => Promise<CompiledGraph> {
  const graphs = new WeakMap<Device, Map<string, Lazy<CompiledGraph>>>();
  return (device, ...key) => {
    const known = graphs.get(device) ?? new Map<string, Lazy<CompiledGraph>>();
    graphs.set(device, known);
    const graph = known.get(key.join(" ")) ?? new Lazy(() => device.backend.compile(model(...key)));
    known.set(key.join(" "), graph);
    return graph.get();
  };
}
