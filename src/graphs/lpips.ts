/**
 * LPIPS (Zhang et al. 2018) version 0.1 on AlexNet as one ONNX graph, in the layout of `lpips.LPIPS(net="alex")`'s
 * state_dict (richzhang/PerceptualSimilarity).
 */
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget, Value } from "./graphBuilder.js";
import { conv2d } from "./layers.js";

/** AlexNet's convolutions: [place in its list of layers, channels, kernel, stride, padding, pooled before]. */
const LAYERS = [
  { place: 0, channels: 64, kernel: 11, stride: 4, padding: 2, pooled: false },
  { place: 3, channels: 192, kernel: 5, stride: 1, padding: 2, pooled: true },
  { place: 6, channels: 384, kernel: 3, stride: 1, padding: 1, pooled: true },
  { place: 8, channels: 256, kernel: 3, stride: 1, padding: 1, pooled: false },
  { place: 10, channels: 256, kernel: 3, stride: 1, padding: 1, pooled: false },
] as const;

/** Avoids dividing zero by zero. */
const EPSILON = 1e-10;

/** A pair of pictures `x` [2, 3, height, width] from −1 to 1 → their distance `y` [1]. */
export function lpipsGraph(target: GraphTarget): GraphBuilder {
  const graph = new GraphBuilder("lpips", target);
  const [shift, scale] = ["shift", "scale"].map((name) => graph.weight(`scaling_layer.${name}`, [1, 3, 1, 1]));
  let maps = graph.node("Div", [graph.node("Sub", [graph.input("x", [2, 3, "height", "width"]), shift]), scale]);
  let channels = 3;
  const distances = LAYERS.map(({ place, channels: wider, kernel, stride, padding, pooled }, index) => {
    if (pooled) maps = graph.node("MaxPool", [maps], { kernel_shape: [3n, 3n], strides: [2n, 2n] });
    const name = `net.slice${index + 1}.${place}`;
    maps = graph.node("Relu", [conv2d(graph, maps, name, channels, wider, { kernel, stride, padding })]);
    channels = wider;
    return distanceOf(graph, maps, `lin${index}`, channels);
  });
  const sum = distances.reduce((total, distance) => graph.node("Add", [total, distance]));
  graph.output("y", graph.node("Reshape", [sum, graph.integers([1])]), [1]);
  return graph;
}

/** The pair's maps, each pixel of unit length over channels: weighted squared difference, mean over pixels. */
function distanceOf(graph: GraphBuilder, maps: Value, name: string, channels: number): Value {
  const axes = graph.integers([1]);
  const length = graph.node("ReduceL2", [maps, axes]);
  const epsilon = graph.constant({ dims: [], data: Float32Array.of(EPSILON) });
  const unit = graph.node("Div", [maps, graph.node("Add", [length, epsilon])]);
  const [left, right] = graph.nodeWithOutputs("Split", 2, [unit], { axis: 0n, num_outputs: 2n });
  const difference = graph.node("Sub", [left, right]);
  const weighted = graph.node("Conv", [
    graph.node("Mul", [difference, difference]),
    graph.weight(`${name}.model.1.weight`, [1, channels, 1, 1]),
  ]);
  return graph.node("GlobalAveragePool", [weighted]);
}
