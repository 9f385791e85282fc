/**
 * The layers that Stable Diffusion's networks are made of, each as a few ONNX operators.
 * `name` is the module path inside the weights file; `x` are feature maps
 * [batch, channels, height, width] unless a comment says tokens [batch, tokens, channels].
 */
import type { GraphBuilder, Precision, Value } from "./graphBuilder.js";

const MICROSOFT = "com.microsoft";

/** Activations that diffusers and transformers name in the configs we read. */
export type Activation = "silu" | "swish" | "mish" | "gelu" | "relu" | "quick_gelu";

export function activation(graph: GraphBuilder, x: Value, kind: Activation): Value {
  switch (kind) {
    case "silu":
    case "swish":
      return silu(graph, x);
    case "quick_gelu":
      return graph.node("QuickGelu", [x], { alpha: 1.702 }, MICROSOFT);
    case "gelu":
      return graph.node("Gelu", [x]);
    case "mish":
      return graph.node("Mish", [x]);
    case "relu":
      return graph.node("Relu", [x]);
  }
}

/** x · sigmoid(x), which is onnxruntime's fused QuickGelu at α = 1. */
export function silu(graph: GraphBuilder, x: Value): Value {
  return graph.node("QuickGelu", [x], { alpha: 1 }, MICROSOFT);
}

export interface Conv2dOptions {
  readonly kernel: number;
  readonly stride?: number;
  /** rows and columns added: one number for all sides, or [top, left, bottom, right] */
  readonly padding?: number | readonly [number, number, number, number];
}

export function conv2d(
  graph: GraphBuilder,
  x: Value,
  name: string,
  inChannels: number,
  outChannels: number,
  options: Conv2dOptions,
): Value {
  const { kernel, stride = 1, padding = 0 } = options;
  const pads = typeof padding === "number" ? [padding, padding, padding, padding] : padding;
  const inputs = [
    x,
    graph.weight(`${name}.weight`, [outChannels, inChannels, kernel, kernel]),
    graph.weight(`${name}.bias`, [outChannels]),
  ];
  return graph.node("Conv", inputs, {
    kernel_shape: [BigInt(kernel), BigInt(kernel)],
    strides: [BigInt(stride), BigInt(stride)],
    pads: pads.map(BigInt),
  });
}

/** Tokens or vectors [..., in] → [..., out]; `storedDims` where the file holds a 1×1 convolution instead. */
export function linear(
  graph: GraphBuilder,
  x: Value,
  name: string,
  inFeatures: number,
  outFeatures: number,
  options: { bias?: boolean; storedDims?: readonly number[] } = {},
): Value {
  const { bias = true, storedDims = [outFeatures, inFeatures] } = options;
  const product = graph.node("MatMul", [x, graph.weight(`${name}.weight`, storedDims, "transposed")]);
  return bias ? graph.node("Add", [product, graph.weight(`${name}.bias`, [outFeatures])]) : product;
}

/** Group normalisation, and the activation after it where there is one. */
export function groupNorm(
  graph: GraphBuilder,
  x: Value,
  name: string,
  channels: number,
  groups: number,
  epsilon: number,
  after?: Activation,
): Value {
  const norm = { name, channels, groups, epsilon };
  if (graph.diffusionOperators && isGroupNormCapable(norm)) return fusedGroupNorm(graph, x, norm, after);
  const normalised = plainGroupNorm(graph, x, norm);
  return after === undefined ? normalised : activation(graph, normalised, after);
}

interface GroupNorm {
  readonly name: string;
  readonly channels: number;
  readonly groups: number;
  readonly epsilon: number;
}

/**
 * Whether onnxruntime's GroupNorm takes these numbers: each thread has two channels, each block of threads a whole
 * group.
 */
function isGroupNormCapable({ channels, groups }: GroupNorm): boolean {
  return channels % (2 * groups) === 0 && channels / groups <= 512;
}

/** onnxruntime's GroupNorm, which computes channels last and takes its affine part only in float32. */
function fusedGroupNorm(
  graph: GraphBuilder,
  x: Value,
  { name, channels, groups, epsilon }: GroupNorm,
  after?: Activation,
): Value {
  const affine = ["weight", "bias"].map((part) => cast(graph, graph.weight(`${name}.${part}`, [channels]), "float32"));
  const isSilu = after === "silu" || after === "swish";
  const normalised = graph.node(
    "GroupNorm",
    [graph.node("Transpose", [x], { perm: CHANNELS_LAST }), ...affine],
    { groups: BigInt(groups), epsilon, activation: isSilu ? 1n : 0n, channels_last: 1n },
    MICROSOFT,
  );
  const channelsFirst = graph.node("Transpose", [normalised], { perm: CHANNELS_FIRST });
  return after === undefined || isSilu ? channelsFirst : activation(graph, channelsFirst, after);
}

/** [batch, channels, height, width] → [batch, height, width, channels], and back */
const CHANNELS_LAST = [0n, 2n, 3n, 1n];
const CHANNELS_FIRST = [0n, 3n, 1n, 2n];

/**
 * Each group is one instance for InstanceNormalization, and the affine part is a BatchNormalization of mean 0 and
 * variance 1. On the CPU this is the fastest of the forms tried (2.6 times faster than InstanceNormalization, Mul, Add
 * at 320×64×64).
 */
function plainGroupNorm(graph: GraphBuilder, x: Value, { name, channels, groups, epsilon }: GroupNorm): Value {
  const grouped = graph.node("Reshape", [x, graph.integers([0, groups, -1])]);
  const normalised = graph.node(
    "InstanceNormalization",
    [grouped, filled(graph, groups, 1), filled(graph, groups, 0)],
    { epsilon },
  );
  const ungrouped = graph.node("Reshape", [normalised, graph.node("Shape", [x])]);
  const affine = [graph.weight(`${name}.weight`, [channels]), graph.weight(`${name}.bias`, [channels])];
  return graph.node(
    "BatchNormalization",
    [ungrouped, ...affine, filled(graph, channels, 0), filled(graph, channels, 1)],
    { epsilon: 0 },
  );
}

function filled(graph: GraphBuilder, length: number, value: number): Value {
  return graph.constant({ dims: [length], data: new Float32Array(length).fill(value) });
}

/** Layer normalisation over the last axis of tokens. */
export function layerNorm(graph: GraphBuilder, tokens: Value, name: string, features: number, epsilon: number): Value {
  const affine = [graph.weight(`${name}.weight`, [features]), graph.weight(`${name}.bias`, [features])];
  return graph.node("LayerNormalization", [tokens, ...affine], { axis: -1n, epsilon });
}

/** Widths that onnxruntime's BiasSplitGelu supports: those of Stable Diffusion's feed-forward layers. */
const SPLIT_GELU_WIDTHS = [1280, 2560, 5120];

/**
 * GEGLU (diffusers' activations.py): tokens [..., in] → left half · gelu(right half) of a linear layer's result, [...,
 * width].
 */
export function geglu(graph: GraphBuilder, tokens: Value, name: string, inFeatures: number, width: number): Value {
  if (graph.diffusionOperators && SPLIT_GELU_WIDTHS.includes(width)) {
    const product = linear(graph, tokens, name, inFeatures, 2 * width, { bias: false });
    return graph.node("BiasSplitGelu", [product, graph.weight(`${name}.bias`, [2 * width])], {}, MICROSOFT);
  }
  const widened = linear(graph, tokens, name, inFeatures, 2 * width);
  const [hidden, gate] = graph.nodeWithOutputs("Split", 2, [widened], { axis: -1n, num_outputs: 2n });
  return graph.node("Mul", [hidden, graph.node("Gelu", [gate])]);
}

export interface AttentionOptions {
  /** number of heads */
  readonly heads: number;
  /** channels of one head */
  readonly headWidth: number;
  /** computes in float32 although the network is float16 (diffusers' upcast_attention) */
  readonly upcast?: boolean;
  /** added to the attention scores, broadcast to [batch, heads, queries, keys] */
  readonly bias?: Value;
}

/** Scaled dot-product attention: q, k, v are tokens [batch, tokens, heads · head width]. */
export function attention(
  graph: GraphBuilder,
  query: Value,
  key: Value,
  value: Value,
  options: AttentionOptions,
): Value {
  const upcast = options.upcast === true && graph.precision === "float16";
  const inputs = [query, key, value].map((tensor) => (upcast ? cast(graph, tensor, "float32") : tensor));
  const optional = options.bias === undefined ? [] : ["", "", options.bias];
  const attended = graph.fusedAttention
    ? graph.node("MultiHeadAttention", [...inputs, ...optional], { num_heads: BigInt(options.heads) }, MICROSOFT)
    : plainAttention(graph, inputs, options, upcast ? "float32" : graph.precision);
  return upcast ? cast(graph, attended, "float16") : attended;
}

/**
 * The mean over heads of what each query attends to: q, k as in {@link attention} → [batch, queries, keys], each row
 * with sum 1.
 */
export function attentionWeights(graph: GraphBuilder, query: Value, key: Value, options: AttentionOptions): Value {
  const upcast = options.upcast === true && graph.precision === "float16";
  const [q, k] = [query, key].map((tensor) => (upcast ? cast(graph, tensor, "float32") : tensor));
  const weights = softmaxScores(graph, q, k, options, upcast ? "float32" : graph.precision);
  const mean = graph.node("ReduceMean", [weights, graph.integers([1])], { keepdims: 0n });
  return upcast ? cast(graph, mean, "float16") : mean;
}

function plainAttention(
  graph: GraphBuilder,
  [query, key, value]: readonly Value[],
  options: AttentionOptions,
  elementType: Precision,
): Value {
  const { heads, headWidth } = options;
  const weighted = graph.node("MatMul", [
    softmaxScores(graph, query, key, options, elementType),
    splitHeads(graph, value, options, [0n, 2n, 1n, 3n]),
  ]);
  return graph.node("Reshape", [
    graph.node("Transpose", [weighted], { perm: [0n, 2n, 1n, 3n] }),
    graph.integers([0, -1, heads * headWidth]),
  ]);
}

/** softmax(q kᵀ / √width + bias): [batch, heads, queries, keys] */
function softmaxScores(
  graph: GraphBuilder,
  query: Value,
  key: Value,
  options: AttentionOptions,
  elementType: Precision,
): Value {
  const scale = graph.constant({ dims: [], data: Float32Array.of(options.headWidth ** -0.5) }, elementType);
  const products = graph.node("MatMul", [
    splitHeads(graph, query, options, [0n, 2n, 1n, 3n]),
    splitHeads(graph, key, options, [0n, 2n, 3n, 1n]),
  ]);
  let scores = graph.node("Mul", [products, scale]);
  if (options.bias !== undefined) scores = graph.node("Add", [scores, options.bias]);
  return graph.node("Softmax", [scores], { axis: -1n });
}

/** [batch, tokens, heads · width] → [batch, heads, tokens, width], or as `perm` says */
function splitHeads(
  graph: GraphBuilder,
  x: Value,
  { heads, headWidth }: AttentionOptions,
  perm: readonly bigint[],
): Value {
  return graph.node("Transpose", [graph.node("Reshape", [x, graph.integers([0, -1, heads, headWidth])])], { perm });
}

export function cast(graph: GraphBuilder, x: Value, to: "float32" | "float16"): Value {
  return graph.node("Cast", [x], { to: to === "float32" ? 1n : 10n });
}

/** A tensor, and its size along the axis on which it is joined to others. */
export interface Part {
  readonly value: Value;
  readonly size: number;
}

/** onnxruntime's CUDA kernels for Concat and Split pass the addresses of up to this many tensors with the launch. */
const MOST_PARTS = 32;

/**
 * Joins tensors along an axis. With parts of unequal size, CUDA's Concat copies their sizes from the host's memory at
 * each run, which cannot be recorded. Where runs are recorded, the parts are first cut into equal ones or, where these
 * would be too many, padded and added up.
 */
export function concat(graph: GraphBuilder, parts: readonly Part[], axis: number): Value {
  const join = (values: readonly Value[]): Value => graph.node("Concat", values, { axis: BigInt(axis) });
  const values = parts.map(({ value }) => value);
  if (!graph.recordsRuns || parts.every(({ size }) => size === parts[0].size)) return join(values);
  const size = parts.map((part) => part.size).reduce(greatestCommonDivisor);
  const total = parts.reduce((sum, part) => sum + part.size, 0);
  if (total / size > MOST_PARTS) {
    let before = 0;
    const padded = parts.map((part) => {
      const pads = graph.integers([before, total - before - part.size]);
      before += part.size;
      return graph.node("Pad", [part.value, pads, "", graph.integers([axis])]);
    });
    return padded.reduce((sum, each) => graph.node("Add", [sum, each]));
  }
  return join(
    parts.flatMap((part) => {
      const count = part.size / size;
      const attributes = { axis: BigInt(axis), num_outputs: BigInt(count) };
      return count === 1 ? [part.value] : graph.nodeWithOutputs("Split", count, [part.value], attributes);
    }),
  );
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Feature maps → tokens [batch, height · width, channels]. */
export function toTokens(graph: GraphBuilder, x: Value, channels: number): Value {
  // Written so that the transposition meets GroupNorm's, and onnxruntime removes both.
  if (graph.diffusionOperators)
    return graph.node("Reshape", [
      graph.node("Transpose", [x], { perm: CHANNELS_LAST }),
      graph.integers([0, -1, channels]),
    ]);
  const flat = graph.node("Reshape", [x, graph.integers([0, channels, -1])]);
  return graph.node("Transpose", [flat], { perm: [0n, 2n, 1n] });
}

/** Tokens → feature maps of the same shape as `like`. */
export function fromTokens(graph: GraphBuilder, tokens: Value, like: Value): Value {
  const flat = graph.node("Transpose", [tokens], { perm: [0n, 2n, 1n] });
  return graph.node("Reshape", [flat, graph.node("Shape", [like])]);
}

/** Nearest-neighbour enlargement by two, as F.interpolate(scale_factor=2, mode="nearest"). */
export function doubleNearest(graph: GraphBuilder, x: Value): Value {
  const scales = graph.constant({ dims: [4], data: Float32Array.of(1, 1, 2, 2) }, "float32");
  return graph.node("Resize", [x, "", scales], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
}

/** Nearest-neighbour enlargement to `size` [height, width] (int64), as F.interpolate(size=…, mode="nearest"). */
export function resizeNearest(graph: GraphBuilder, x: Value, size: Value): Value {
  const batchAndChannels = graph.node("Shape", [x], { start: 0n, end: 2n });
  const sizes = graph.node("Concat", [batchAndChannels, size], { axis: 0n });
  return graph.node("Resize", [x, "", "", sizes], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
}
