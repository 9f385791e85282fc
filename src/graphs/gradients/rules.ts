/**
 * Vector–Jacobian products of the operators that our networks are made of, each as a few operators of the same kind.
 * A rule is given the cotangents of an operator's results (the gradient of some number with respect to them), and says
 * what those of its inputs are.
 */
import type { GraphBuilder, Value } from "../graphBuilder.js";
import type { OnnxNode } from "../onnx.js";

export interface RuleContext {
  readonly graph: GraphBuilder;
  readonly node: OnnxNode;
  /** of each result; undefined where nothing depends on it */
  readonly cotangents: readonly (Value | undefined)[];
  /** whether an input's gradient is asked for */
  readonly isActive: (input: number) => boolean;
}

/** The gradient with respect to each input; undefined where it is not asked for. */
export type Rule = (context: RuleContext) => readonly (Value | undefined)[];

/** The cotangent of an operator's only result. */
function only({ cotangents: [cotangent], node }: RuleContext): Value {
  if (cotangent === undefined) throw new TypeError(`${node.op}: no cotangent`);
  return cotangent;
}

function scalar(graph: GraphBuilder, value: number): Value {
  return graph.constant({ dims: [], data: Float32Array.of(value) });
}

/** dx = dy · f'(x) */
function elementwise(derivative: (graph: GraphBuilder, x: Value, node: OnnxNode) => Value): Rule {
  return (context) => {
    const { graph, node } = context;
    return [graph.node("Mul", [only(context), derivative(graph, node.inputs[0], node)])];
  };
}

/** x·σ(αx): σ + αx·σ·(1 − σ) */
function quickGeluDerivative(graph: GraphBuilder, x: Value, { attributes }: OnnxNode): Value {
  const scaled = graph.node("Mul", [x, scalar(graph, Number(attributes.alpha))]);
  const gate = graph.node("Sigmoid", [scaled]);
  const rest = graph.node("Sub", [scalar(graph, 1), gate]);
  return graph.node("Mul", [gate, graph.node("Add", [scalar(graph, 1), graph.node("Mul", [scaled, rest])])]);
}

/** x·Φ(x) with the normal distribution's Φ: Φ + x·φ */
function geluDerivative(graph: GraphBuilder, x: Value): Value {
  const erf = graph.node("Erf", [graph.node("Mul", [x, scalar(graph, Math.SQRT1_2)])]);
  const cumulative = graph.node("Mul", [graph.node("Add", [erf, scalar(graph, 1)]), scalar(graph, 0.5)]);
  const exponent = graph.node("Mul", [graph.node("Mul", [x, x]), scalar(graph, -0.5)]);
  const density = graph.node("Mul", [graph.node("Exp", [exponent]), scalar(graph, 1 / Math.sqrt(2 * Math.PI))]);
  return graph.node("Add", [cumulative, graph.node("Mul", [x, density])]);
}

/** x·t with t = tanh(softplus(x)): t + x·σ(x)·(1 − t²) */
function mishDerivative(graph: GraphBuilder, x: Value): Value {
  const t = graph.node("Tanh", [graph.node("Softplus", [x])]);
  const slope = graph.node("Sub", [scalar(graph, 1), graph.node("Mul", [t, t])]);
  const gate = graph.node("Mul", [x, graph.node("Sigmoid", [x])]);
  return graph.node("Add", [t, graph.node("Mul", [gate, slope])]);
}

/** For a normalisation over the last axis, x̂ = (x − mean)/σ: dx = (g − mean(g) − x̂·mean(g·x̂))/σ, g the cotangent of x̂. */
function normalised(graph: GraphBuilder, x: Value, epsilon: number, g: Value): Value {
  const mean = (value: Value): Value => graph.node("ReduceMean", [value, graph.integers([-1])], { keepdims: 1n });
  const centred = graph.node("Sub", [x, mean(x)]);
  const variance = graph.node("Add", [mean(graph.node("Mul", [centred, centred])), scalar(graph, epsilon)]);
  const deviation = graph.node("Sqrt", [variance]);
  const unit = graph.node("Div", [centred, deviation]);
  const along = graph.node("Mul", [unit, mean(graph.node("Mul", [g, unit]))]);
  const rest = graph.node("Sub", [graph.node("Sub", [g, mean(g)]), along]);
  return graph.node("Div", [rest, deviation]);
}

/** Inputs that are broadcast to the result's shape are not differentiated: weights, biases, time embeddings. */
const arithmetic: Readonly<Record<string, Rule>> = {
  Add: (context) => [0, 1].map((input) => (context.isActive(input) ? only(context) : undefined)),
  Sub: (context) => [
    context.isActive(0) ? only(context) : undefined,
    context.isActive(1) ? context.graph.node("Neg", [only(context)]) : undefined,
  ],
  Mul: (context) => {
    const { graph, node, isActive } = context;
    return [0, 1].map((input) =>
      isActive(input) ? graph.node("Mul", [only(context), node.inputs[1 - input]]) : undefined,
    );
  },
  /** the divisor is not differentiated */
  Div: (context) => [context.graph.node("Div", [only(context), context.node.inputs[1]])],
};

/** [rows, groups, elements]: each group is normalised over its elements, then scaled by its factor. */
function instanceNormalization(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const [x, scale] = node.inputs;
  const factors = graph.node("Reshape", [scale, graph.integers([-1, 1])]);
  return [normalised(graph, x, Number(node.attributes.epsilon), graph.node("Mul", [only(context), factors]))];
}

/** With fixed statistics it is linear: the same operator without shift and mean. */
function batchNormalization(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const [, scale, , mean, variance] = node.inputs;
  const zero = graph.node("Sub", [mean, mean]);
  return [graph.node("BatchNormalization", [only(context), scale, zero, zero, variance], node.attributes)];
}

function layerNormalization(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const [x, scale] = node.inputs;
  return [normalised(graph, x, Number(node.attributes.epsilon), graph.node("Mul", [only(context), scale]))];
}

/** A convolution's weights [out, in, height, width] as [in, out, height, width], rows and columns from last to first. */
function turned(graph: GraphBuilder, weight: Value): Value {
  const [last, beforeFirst, axes, steps] = [
    [-1, -1],
    [-1000, -1000],
    [2, 3],
    [-1, -1],
  ].map((each) => graph.integers(each));
  const swapped = graph.node("Transpose", [weight], { perm: [1n, 0n, 2n, 3n] });
  return graph.node("Slice", [swapped, last, beforeFirst, axes, steps]);
}

/**
 * The transposed convolution; without a stride an ordinary one with the weights turned, which has the faster kernels.
 * With a stride, some rows of the input may be in no window: the result is enlarged to include all of them, and cut to
 * the input's extent.
 */
function convolution(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const { kernel_shape, strides, pads } = node.attributes as Record<string, readonly bigint[]>;
  const [x, weight] = node.inputs;
  if (strides.every((stride) => stride === 1n)) {
    const [top, left, bottom, right] = pads;
    const [height, width] = kernel_shape;
    const around = [height - 1n - top, width - 1n - left, height - 1n - bottom, width - 1n - right];
    return [graph.node("Conv", [only(context), turned(graph, weight)], { kernel_shape, strides, pads: around })];
  }
  const whole = graph.node("ConvTranspose", [only(context), weight], {
    kernel_shape,
    strides,
    pads: pads.map(() => 0n),
    output_padding: strides.map((stride) => stride - 1n),
  });
  const [top, left] = pads.map(Number);
  const starts = graph.integers([top, left]);
  const ends = graph.node("Add", [graph.node("Shape", [x], { start: 2n, end: 4n }), starts]);
  return [graph.node("Slice", [whole, starts, ends, graph.integers([2, 3])])];
}

/** a·b: da = dy·bᵀ, db = aᵀ·dy. Weights are matrices; two activations are heads [rows, heads, tokens, width]. */
function matMul(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node, isActive } = context;
  const [a, b] = node.inputs;
  const transposed = (value: Value): Value =>
    graph.node("Transpose", [value], { perm: graph.isWeight(value) ? [1n, 0n] : [0n, 1n, 3n, 2n] });
  return [
    isActive(0) ? graph.node("MatMul", [only(context), transposed(b)]) : undefined,
    isActive(1) ? graph.node("MatMul", [transposed(a), only(context)]) : undefined,
  ];
}

/** y·(dy − Σ dy·y) over the last axis */
function softmax(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const [y] = node.outputs;
  const weighted = graph.node("Mul", [only(context), y]);
  const total = graph.node("ReduceSum", [weighted, graph.integers([-1])], { keepdims: 1n });
  return [graph.node("Sub", [weighted, graph.node("Mul", [y, total])])];
}

/** Each input's part of the cotangent. */
function concat({ graph, node, ...context }: RuleContext): readonly (Value | undefined)[] {
  const axis = node.attributes.axis as bigint;
  const sizes = node.inputs.map((input) => graph.node("Shape", [input], { start: axis, end: axis + 1n }));
  const cotangent = only({ graph, node, ...context });
  return graph.nodeWithOutputs("Split", sizes.length, [cotangent, graph.node("Concat", sizes, { axis: 0n })], { axis });
}

/** Both halves are needed, as in a gated layer. */
function split({ graph, node, cotangents }: RuleContext): readonly (Value | undefined)[] {
  const { axis } = node.attributes as Record<string, bigint>;
  const parts = cotangents.map((cotangent) => {
    if (cotangent === undefined) throw new TypeError("Split: a part that nothing depends on");
    return cotangent;
  });
  return [graph.node("Concat", parts, { axis })];
}

/**
 * Nearest-neighbour enlargement: y = R x Wᵀ with matrices that pick a row and a column for each pixel, so dx = Rᵀ dy W.
 * They are made by enlarging row and column numbers in the same way, so that both pick the same ones at any size.
 */
function resize(context: RuleContext): readonly (Value | undefined)[] {
  const { graph, node } = context;
  const [x] = node.inputs;
  const [y] = node.outputs;
  /** [enlarged, extent]: 1 where a place on the enlarged axis is a copy of one on the other */
  const picks = (axis: 2 | 3): Value => {
    const size = (of: Value): Value => graph.node("Shape", [of], { start: BigInt(axis), end: BigInt(axis + 1) });
    const around = (extent: Value): Value =>
      graph.node(
        "Concat",
        [graph.integers([1, 1]), ...(axis === 2 ? [extent, graph.integers([1])] : [graph.integers([1]), extent])],
        { axis: 0n },
      );
    const [extent, enlarged] = [size(x), size(y)];
    // 1, 2, 3, …: the running sum of ones.
    const zeros = graph.node("ConstantOfShape", [extent]);
    const counted = graph.node("CumSum", [graph.node("Add", [zeros, scalar(graph, 1)]), graph.integers([0])]);
    const numbers = graph.node(
      "Resize",
      [graph.node("Reshape", [counted, around(extent)]), "", "", around(enlarged)],
      node.attributes,
    );
    const rows = graph.node("Reshape", [numbers, graph.integers([-1, 1])]);
    const distance = graph.node("Abs", [
      graph.node("Sub", [rows, graph.node("Reshape", [counted, graph.integers([1, -1])])]),
    ]);
    return graph.node("Relu", [graph.node("Sub", [scalar(graph, 1), distance])]);
  };
  const rows = graph.node("Transpose", [picks(2)], { perm: [1n, 0n] });
  return [graph.node("MatMul", [graph.node("MatMul", [rows, only(context)]), picks(3)])];
}

/** A rule for each operator through which a network's feature maps run. */
export const RULES: Readonly<Record<string, Rule>> = {
  ...arithmetic,
  Identity: (context) => [only(context)],
  QuickGelu: elementwise(quickGeluDerivative),
  Gelu: elementwise(geluDerivative),
  Mish: elementwise(mishDerivative),
  Relu: elementwise((graph, x) => graph.node("Sign", [graph.node("Relu", [x])])),
  InstanceNormalization: instanceNormalization,
  BatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  Conv: convolution,
  MatMul: matMul,
  Softmax: softmax,
  Concat: concat,
  Split: split,
  Resize: resize,
  Reshape: (context) => [
    context.graph.node("Reshape", [only(context), context.graph.node("Shape", [context.node.inputs[0]])]),
  ],
  Transpose: (context) => {
    const { perm } = context.node.attributes as Record<string, readonly bigint[]>;
    const inverse = perm.map((_, axis) => BigInt(perm.indexOf(BigInt(axis))));
    return [context.graph.node("Transpose", [only(context)], { perm: inverse })];
  },
};
