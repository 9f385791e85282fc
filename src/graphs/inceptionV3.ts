/**
 * The Inception-v3 of the Fréchet inception distance, up to its last pooling, in the layout of pytorch-fid's weights
 * (Szegedy et al. 2015; TensorFlow's network of 2015-12-05, which pools without counting the padding, and takes the
 * maximum in the pooling branch of the last block).
 */
import { GraphBuilder } from "./graphBuilder.js";
import type { GraphTarget, Value } from "./graphBuilder.js";
import { concat } from "./layers.js";

/** Height and width of its input in pixels, and numbers per feature. */
export const INCEPTION_SIZE = 299;
export const INCEPTION_WIDTH = 2048;

const EPSILON = 0.001;

interface ConvOptions {
  readonly kernel: readonly [height: number, width: number];
  readonly stride?: number;
  readonly padding?: readonly [height: number, width: number];
}

/** A feature map and its channels. */
interface Maps {
  readonly value: Value;
  readonly channels: number;
}

/** Pixels `x` [batch, 3, 299, 299] from −1 to 1 → features `y` [batch, 2048]. */
export function inceptionGraph(target: GraphTarget): GraphBuilder {
  const graph = new GraphBuilder("inception v3", target);
  const conv = (from: Maps, name: string, channels: number, options: ConvOptions): Maps => ({
    value: convNormRelu(graph, from, name, channels, options),
    channels,
  });
  const square = (side: number, padding = 0, stride = 1): ConvOptions => ({
    kernel: [side, side],
    padding: [padding, padding],
    stride,
  });
  const joined = (...branches: readonly Maps[]): Maps => ({
    value: concat(
      graph,
      branches.map(({ value, channels: size }) => ({ value, size })),
      1,
    ),
    channels: branches.reduce((sum, { channels }) => sum + channels, 0),
  });
  const shrunk = ({ value, channels }: Maps): Maps => ({ value: pool(graph, "MaxPool", value, 2, 0), channels });
  const mean = ({ value, channels }: Maps): Maps => ({ value: pool(graph, "AveragePool", value, 1, 1), channels });
  const greatest = ({ value, channels }: Maps): Maps => ({ value: pool(graph, "MaxPool", value, 1, 1), channels });

  /** 35×35: branches with 1×1, 5×5, two 3×3, and pooling */
  const blockA = (x: Maps, name: string, pooled: number): Maps =>
    joined(
      conv(x, `${name}.branch1x1`, 64, square(1)),
      conv(conv(x, `${name}.branch5x5_1`, 48, square(1)), `${name}.branch5x5_2`, 64, square(5, 2)),
      conv(
        conv(conv(x, `${name}.branch3x3dbl_1`, 64, square(1)), `${name}.branch3x3dbl_2`, 96, square(3, 1)),
        `${name}.branch3x3dbl_3`,
        96,
        square(3, 1),
      ),
      conv(mean(x), `${name}.branch_pool`, pooled, square(1)),
    );
  /** 35×35 → 17×17 */
  const blockB = (x: Maps, name: string): Maps =>
    joined(
      conv(x, `${name}.branch3x3`, 384, square(3, 0, 2)),
      conv(
        conv(conv(x, `${name}.branch3x3dbl_1`, 64, square(1)), `${name}.branch3x3dbl_2`, 96, square(3, 1)),
        `${name}.branch3x3dbl_3`,
        96,
        square(3, 0, 2),
      ),
      shrunk(x),
    );
  const ROW: ConvOptions = { kernel: [1, 7], padding: [0, 3] };
  const COLUMN: ConvOptions = { kernel: [7, 1], padding: [3, 0] };
  /** Convolutions one after the other, `name_1`, `name_2`, … */
  const chain = (x: Maps, name: string, steps: readonly (readonly [channels: number, options: ConvOptions])[]): Maps =>
    steps.reduce((maps, [channels, options], index) => conv(maps, `${name}_${index + 1}`, channels, options), x);
  /** 17×17: 7×7 split into rows and columns */
  const blockC = (x: Maps, name: string, narrow: number): Maps =>
    joined(
      conv(x, `${name}.branch1x1`, 192, square(1)),
      chain(x, `${name}.branch7x7`, [
        [narrow, square(1)],
        [narrow, ROW],
        [192, COLUMN],
      ]),
      chain(x, `${name}.branch7x7dbl`, [
        [narrow, square(1)],
        [narrow, COLUMN],
        [narrow, ROW],
        [narrow, COLUMN],
        [192, ROW],
      ]),
      conv(mean(x), `${name}.branch_pool`, 192, square(1)),
    );
  /** 17×17 → 8×8 */
  const blockD = (x: Maps, name: string): Maps =>
    joined(
      chain(x, `${name}.branch3x3`, [
        [192, square(1)],
        [320, square(3, 0, 2)],
      ]),
      chain(x, `${name}.branch7x7x3`, [
        [192, square(1)],
        [192, ROW],
        [192, COLUMN],
        [192, square(3, 0, 2)],
      ]),
      shrunk(x),
    );
  /** 8×8: 3×3 as a row beside a column */
  const blockE = (x: Maps, name: string, pooled: (x: Maps) => Maps): Maps => {
    const rowBesideColumn = (from: Maps, stem: string): Maps =>
      joined(
        conv(from, `${stem}a`, 384, { kernel: [1, 3], padding: [0, 1] }),
        conv(from, `${stem}b`, 384, { kernel: [3, 1], padding: [1, 0] }),
      );
    return joined(
      conv(x, `${name}.branch1x1`, 320, square(1)),
      rowBesideColumn(conv(x, `${name}.branch3x3_1`, 384, square(1)), `${name}.branch3x3_2`),
      rowBesideColumn(
        chain(x, `${name}.branch3x3dbl`, [
          [448, square(1)],
          [384, square(3, 1)],
        ]),
        `${name}.branch3x3dbl_3`,
      ),
      conv(pooled(x), `${name}.branch_pool`, 192, square(1)),
    );
  };

  let x: Maps = { value: graph.input("x", ["batch", 3, INCEPTION_SIZE, INCEPTION_SIZE]), channels: 3 };
  x = conv(x, "Conv2d_1a_3x3", 32, square(3, 0, 2));
  x = conv(x, "Conv2d_2a_3x3", 32, square(3));
  x = shrunk(conv(x, "Conv2d_2b_3x3", 64, square(3, 1)));
  x = conv(x, "Conv2d_3b_1x1", 80, square(1));
  x = shrunk(conv(x, "Conv2d_4a_3x3", 192, square(3)));
  x = blockA(x, "Mixed_5b", 32);
  x = blockA(x, "Mixed_5c", 64);
  x = blockA(x, "Mixed_5d", 64);
  x = blockB(x, "Mixed_6a");
  x = blockC(x, "Mixed_6b", 128);
  x = blockC(x, "Mixed_6c", 160);
  x = blockC(x, "Mixed_6d", 160);
  x = blockC(x, "Mixed_6e", 192);
  x = blockD(x, "Mixed_7a");
  x = blockE(x, "Mixed_7b", mean);
  x = blockE(x, "Mixed_7c", greatest);
  const features = graph.node("Reshape", [
    graph.node("GlobalAveragePool", [x.value]),
    graph.integers([-1, INCEPTION_WIDTH]),
  ]);
  graph.output("y", features, ["batch", INCEPTION_WIDTH]);
  return graph;
}

/** Convolution without bias, batch normalisation with the training statistics, ReLU. */
function convNormRelu(
  graph: GraphBuilder,
  { value, channels: from }: Maps,
  name: string,
  to: number,
  { kernel: [height, width], stride = 1, padding: [rows, columns] = [0, 0] }: ConvOptions,
): Value {
  const convolved = graph.node("Conv", [value, graph.weight(`${name}.conv.weight`, [to, from, height, width])], {
    kernel_shape: [BigInt(height), BigInt(width)],
    strides: [BigInt(stride), BigInt(stride)],
    pads: [rows, columns, rows, columns].map(BigInt),
  });
  const statistics = ["weight", "bias", "running_mean", "running_var"].map((part) =>
    graph.weight(`${name}.bn.${part}`, [to]),
  );
  return graph.node("Relu", [graph.node("BatchNormalization", [convolved, ...statistics], { epsilon: EPSILON })]);
}

/** Over windows of 3×3. */
function pool(graph: GraphBuilder, op: "MaxPool" | "AveragePool", x: Value, stride: number, padding: number): Value {
  return graph.node(op, [x], {
    kernel_shape: [3n, 3n],
    strides: [BigInt(stride), BigInt(stride)],
    pads: [padding, padding, padding, padding].map(BigInt),
  });
}
