import { FLOAT32, GraphBuilder } from "../../graphs/graphBuilder.js";
import type { Precision } from "../../graphs/graphBuilder.js";
import type { OnnxModel } from "../../graphs/onnx.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { Device } from "../../engine/device.js";
import { createSession } from "../../engine/session.js";
import type { DeviceTensor } from "../../engine/session.js";
import { sharedSessions } from "../../engine/sharedSessions.js";
import { fromHost, precisionOf } from "../../engine/transfer.js";

/** One number for a whole tensor, or one a channel: [1 or rows, channels, 1, 1]. */
export type Weight = number | FloatTensor;

/**
 * Σ weight · tensor (+ shift) over tensors of one shape and element type, computed where they are; the result is the
 * caller's to release.
 *
 * @param shift one number a channel, [1 or rows, channels, 1, 1]
 */
export async function weightedSum(
  device: Device,
  tensors: readonly DeviceTensor[],
  weights: readonly Weight[],
  shift?: FloatTensor,
): Promise<DeviceTensor> {
  const precision = precisionOf(tensors[0]);
  const feeds: Record<string, DeviceTensor> = {};
  const small = weights.map((weight) =>
    typeof weight === "number" ? { dims: [1], data: Float32Array.of(weight) } : weight,
  );
  tensors.forEach((tensor, index) => {
    feeds[`tensor_${index}`] = tensor;
    feeds[`weight_${index}`] = fromHost(small[index], precision);
  });
  if (shift !== undefined) feeds.shift = fromHost(shift, precision);
  const ranks = small.map(({ dims }) => dims.length).join(",");
  const session = await sumOf(device, precision, tensors[0].dims.length, ranks, shift === undefined ? "" : "shifted");
  return (await session.run(feeds)).sum;
}

const sumOf = sharedSessions((device, precision: Precision, rank: number, weightRanks: string, shifted: string) =>
  createSession(graphOf(precision, rank, weightRanks.split(",").map(Number), shifted !== ""), device, {
    keepsMemory: true,
  }),
);

function graphOf(precision: Precision, rank: number, weightRanks: readonly number[], shifted: boolean): OnnxModel {
  const graph = new GraphBuilder("weighted sum", { ...FLOAT32, precision });
  const dims = Array.from({ length: rank }, (_, axis) => `dim_${axis}`);
  const small = (name: string, weightRank: number): string =>
    graph.input(name, weightRank === 1 ? [1] : [`${name}_rows`, dims[1], ...dims.slice(2).map(() => 1)]);
  const terms = weightRanks.map((weightRank, index) =>
    graph.node("Mul", [graph.input(`tensor_${index}`, dims), small(`weight_${index}`, weightRank)]),
  );
  if (shifted) terms.push(small("shift", rank));
  // Not by Sum: onnxruntime 1.30 has no such kernel for webgpu, and would add up on the host.
  graph.output(
    "sum",
    terms.reduce((sum, term) => graph.node("Add", [sum, term])),
    dims,
  );
  return graph.encodeWithoutWeights();
}
