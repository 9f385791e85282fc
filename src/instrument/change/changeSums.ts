/** The sums that every measure of change is made of, taken where the tensors are. */
import { FLOAT32, GraphBuilder } from "../../graphs/graphBuilder.js";
import type { Precision } from "../../graphs/graphBuilder.js";
import { cast } from "../../graphs/layers.js";
import type { OnnxModel } from "../../graphs/onnx.js";
import type { Device } from "../../engine/device.js";
import { sharedGraphs } from "../../engine/sharedGraphs.js";
import { Tensor } from "../../engine/tensor.js";
import { download, precisionOf } from "../../engine/transfer.js";
import { hostSums } from "./hostSums.js";

/**
 * Four sums for each batch row, as numbers [rows × 4] in this order: Σ|C(t) − C(t−1)|, Σ|C(t)|, Σ(C(t) − C(t−1))², ΣC(t)².
 */
export type RowSums = Float32Array | Float64Array;

/** The place of each of a row's sums. */
const SUM = { absoluteDifference: 0, absolute: 1, squaredDifference: 2, squared: 3 } as const;

/** One of the sums, over several rows. */
export function total(sums: RowSums, rows: readonly number[], name: keyof typeof SUM): number {
  let sum = 0;
  for (const row of rows) sum += sums[4 * row + SUM[name]];
  return sum;
}

/** Sums that a device may still be computing: a tensor of its own until they are read. */
export type StartedSums = RowSums | Tensor;

/**
 * Starts the sums of each batch row. A host tensor is read only once (hostSums.ts), whereas a graph of five operators
 * would read it five times. Device tensors stay where they are, and four numbers per row come back when they are read:
 * reading them block by block would make the device wait for the processor each time.
 *
 * @returns what {@link readSums} reads; if it is never read, the caller must give it up with {@link dropSums}
 */
export async function startSums(device: Device, current: Tensor, previous: Tensor): Promise<StartedSums> {
  if ([current, previous].every(({ location, type }) => location === "host" && type === "float32"))
    return hostSums(current, previous);
  const graph = await sumsGraph(device, precisionOf(current));
  const [sums] = await graph.run({ current, previous }, ["sums"]);
  return sums;
}

/** The sums, once the device has computed them; all are released, even where one cannot be read. */
export async function readSums(device: Device, started: readonly StartedSums[]): Promise<RowSums[]> {
  const read: RowSums[] = [];
  try {
    // One after the other: the first waits for the device, and the others find it done.
    for (const sums of started) read.push(sums instanceof Tensor ? (await download(device, sums)).data : sums);
    return read;
  } finally {
    dropSums(started);
  }
}

/** Releases sums that nobody reads. */
export function dropSums(started: readonly StartedSums[]): void {
  for (const sums of started) if (sums instanceof Tensor) sums.release();
}

/** One graph serves all blocks of an element type: the shapes are free. */
const sumsGraph = sharedGraphs(describeSums);

function describeSums(precision: Precision): OnnxModel {
  const graph = new GraphBuilder("change", { ...FLOAT32, precision });
  graph.allowRepeating();
  const rows = (name: string): string => {
    const input = graph.input(name, ["batch", "channels", "height", "width"]);
    const flat = graph.node("Reshape", [input, graph.integers([0, -1])]);
    return precision === "float16" ? cast(graph, flat, "float32") : flat;
  };
  const current = rows("current");
  const difference = graph.node("Sub", [current, rows("previous")]);
  const axis = graph.integers([1]);
  // Not with ReduceL1 and ReduceSumSquare, which take 16 ms for a million numbers on CUDA; ReduceSum is fast.
  const sum = (x: string): string => graph.node("ReduceSum", [x, axis]);
  const sums = [
    sum(graph.node("Abs", [difference])),
    sum(graph.node("Abs", [current])),
    sum(graph.node("Mul", [difference, difference])),
    sum(graph.node("Mul", [current, current])),
  ];
  graph.output("sums", graph.node("Concat", sums, { axis: 1n }), ["batch", 4], "float32");
  return graph.encodeWithoutWeights();
}
