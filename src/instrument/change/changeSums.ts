/** The sums that every measure of change is made of, taken where the tensors are. */
import { FLOAT32, GraphBuilder } from "../../graphs/graphBuilder.js";
import type { Precision } from "../../graphs/graphBuilder.js";
import { cast } from "../../graphs/layers.js";
import type { OnnxModel } from "../../graphs/onnx.js";
import type { Device } from "../../engine/device.js";
import { sharedGraphs } from "../../engine/sharedGraphs.js";
import type { Tensor } from "../../engine/tensor.js";
import { download, precisionOf } from "../../engine/transfer.js";
import { hostSums } from "./hostSums.js";

/**
 * Four sums for each batch row, as numbers [rows × 4] in this order: Σ|C(t) − C(t−1)|, Σ|C(t)|, Σ(C(t) − C(t−1))², ΣC(t)².
 */
export type RowSums = Float32Array | Float64Array;

/** Where each of a row's sums stands. */
const SUM = { absoluteDifference: 0, absolute: 1, squaredDifference: 2, squared: 3 } as const;

/** One of the sums, over several rows. */
export function total(sums: RowSums, rows: readonly number[], name: keyof typeof SUM): number {
  let sum = 0;
  for (const row of rows) sum += sums[4 * row + SUM[name]];
  return sum;
}

/**
 * The sums of each batch row. A host tensor is read once (hostSums.ts), where a graph of five operators reads it five
 * times. Device tensors stay where they are, and four numbers for each row come back.
 */
export async function rowSums(device: Device, current: Tensor, previous: Tensor): Promise<RowSums> {
  if ([current, previous].every(({ location, type }) => location === "host" && type === "float32"))
    return hostSums(current, previous);
  const graph = await sumsGraph(device, precisionOf(current));
  const [sums] = await graph.run({ current, previous }, ["sums"]);
  using read = sums;
  return (await download(device, read)).data;
}

/** One graph serves all blocks of an element type: the shapes are free. */
const sumsGraph = sharedGraphs(describeSums);

function describeSums(precision: Precision): OnnxModel {
  const graph = new GraphBuilder("change", { ...FLOAT32, precision });
  const rows = (name: string): string => {
    const input = graph.input(name, ["batch", "channels", "height", "width"]);
    const flat = graph.node("Reshape", [input, graph.integers([0, -1])]);
    return precision === "float16" ? cast(graph, flat, "float32") : flat;
  };
  const current = rows("current");
  const difference = graph.node("Sub", [current, rows("previous")]);
  const axis = graph.integers([1]);
  const sums = [
    graph.node("ReduceL1", [difference, axis]),
    graph.node("ReduceL1", [current, axis]),
    graph.node("ReduceSumSquare", [difference, axis]),
    graph.node("ReduceSumSquare", [current, axis]),
  ];
  graph.output("sums", graph.node("Concat", sums, { axis: 1n }), ["batch", 4], "float32");
  return graph.encodeWithoutWeights();
}
