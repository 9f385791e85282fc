import { FLOAT32, GraphBuilder } from "../../graphs/graphBuilder.js";
import type { Precision } from "../../graphs/graphBuilder.js";
import type { OnnxModel } from "../../graphs/onnx.js";
import type { Device } from "../../engine/device.js";
import { createSession } from "../../engine/session.js";
import type { DeviceTensor } from "../../engine/session.js";
import { sharedSessions } from "../../engine/sharedSessions.js";
import { fromHost, precisionOf } from "../../engine/transfer.js";

/** Σ weight · tensor over tensors of one shape and element type, computed where they are; the result is the caller's to release. */
export async function weightedSum(
  device: Device,
  tensors: readonly DeviceTensor[],
  weights: readonly number[],
): Promise<DeviceTensor> {
  const precision = precisionOf(tensors[0]);
  const feeds: Record<string, DeviceTensor> = {};
  tensors.forEach((tensor, index) => {
    feeds[`tensor_${index}`] = tensor;
    feeds[`weight_${index}`] = fromHost({ dims: [1], data: Float32Array.of(weights[index]) }, precision);
  });
  const { sum } = await (await sumOf(device, precision, tensors.length, tensors[0].dims.length)).run(feeds);
  return sum;
}

const sumOf = sharedSessions((device, precision: Precision, terms: number, rank: number) =>
  createSession(graphOf(precision, terms, rank), device, { keepsMemory: true }),
);

function graphOf(precision: Precision, terms: number, rank: number): OnnxModel {
  const graph = new GraphBuilder("weighted sum", { ...FLOAT32, precision });
  const dims = Array.from({ length: rank }, (_, axis) => `dim_${axis}`);
  const products = Array.from({ length: terms }, (_, index) =>
    graph.node("Mul", [graph.input(`tensor_${index}`, dims), graph.input(`weight_${index}`, [1])]),
  );
  // Not by Sum: onnxruntime 1.30 has no such kernel for webgpu, and would add up on the host.
  graph.output(
    "sum",
    products.reduce((sum, product) => graph.node("Add", [sum, product])),
    dims,
  );
  return graph.encodeWithoutWeights();
}
