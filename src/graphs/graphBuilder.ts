import { UnsupportedError } from "../errors.js";
import { elementCount, transposed } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Weights } from "../models/weights.js";
import { ELEMENT_BYTES, encodeOnnxModel } from "./onnx.js";
import type { Dimension, ElementType, OnnxAttribute, OnnxModel, OnnxNode, OnnxTensor, OnnxValue } from "./onnx.js";
import { toHalf } from "../numerics/half.js";

/** The element types that a network computes in. */
export const PRECISIONS = ["float32", "float16"] as const;
export type Precision = (typeof PRECISIONS)[number];

/** onnxruntime takes no larger tensor from memory. */
const MAX_WEIGHT_BYTES = 2 ** 31;

/** What a graph is built for; a device is one. */
export interface GraphTarget {
  readonly precision: Precision;
  /** whether onnxruntime's MultiHeadAttention gives right results there */
  readonly fusedAttention: boolean;
  /**
   * whether onnxruntime's operators for diffusion exist there and are faster: GroupNorm with SiLU, channels last, and
   * BiasSplitGelu
   */
  readonly diffusionOperators: boolean;
  /** whether runs are recorded and repeated there, so that no operator should read numbers from the host's memory */
  readonly recordsRuns: boolean;
}

/** For graphs that hold no attention. */
export const FLOAT32: GraphTarget = {
  precision: "float32",
  fusedAttention: true,
  diffusionOperators: false,
  recordsRuns: false,
};

/** The name of a value inside one graph. */
export type Value = string;

interface PendingWeight {
  readonly value: Value;
  readonly tensor: string;
  /** shape in the file; anything else is refused */
  readonly dims: readonly number[];
  readonly layout: WeightLayout;
}

/** How a stored weight is laid out in the graph. */
export type WeightLayout =
  | "as stored"
  /** [out, in] (also [out, in, 1, 1]) → [in, out], what MatMul multiplies a row vector by */
  | "transposed";

/**
 * Collects one ONNX graph node by node. Weights are named while building and read from the
 * model folder only when the graph is encoded, so that one block's weights are in memory at a time.
 */
export class GraphBuilder {
  readonly precision: Precision;
  readonly fusedAttention: boolean;
  readonly diffusionOperators: boolean;
  readonly recordsRuns: boolean;
  readonly #name: string;
  readonly #nodes: OnnxNode[] = [];
  readonly #constants: OnnxTensor[] = [];
  readonly #weights: PendingWeight[] = [];
  readonly #inputs: OnnxValue[] = [];
  readonly #outputs: OnnxValue[] = [];
  /** value → the graph's result that it is */
  readonly #results = new Map<Value, string>();
  #count = 0;
  #mayRepeat = false;

  constructor(name: string, target: GraphTarget) {
    this.#name = name;
    this.precision = target.precision;
    this.fusedAttention = target.fusedAttention;
    this.diffusionOperators = target.diffusionOperators;
    this.recordsRuns = target.recordsRuns;
  }

  /** The operators so far, in the order in which they run. */
  get nodes(): readonly OnnxNode[] {
    return this.#nodes;
  }

  /** Whether a value is a tensor of the model folder. */
  isWeight(value: Value): boolean {
    return this.#weights.some((weight) => weight.value === value);
  }

  /**
   * Declares an input; the name is its value. Integers (int64) are sizes, which operators read from the host's memory.
   */
  input(name: string, dims: readonly Dimension[], elementType: ElementType = this.precision): Value {
    this.#inputs.push({ name, elementType, dims });
    return name;
  }

  /** Makes a value a result of the graph. An operator's own output is renamed, so that it need not be copied. */
  output(name: string, value: Value, dims: readonly Dimension[], elementType: ElementType = this.precision): void {
    const computed = this.#nodes.some((node) => node.outputs.includes(value));
    if (computed && !this.#results.has(value)) this.#results.set(value, name);
    else this.#nodes.push({ op: "Identity", domain: "", inputs: [value], outputs: [name], attributes: {} });
    this.#outputs.push({ name, elementType, dims });
  }

  /** Appends an operator with one result; `""` among the inputs leaves an optional one out. */
  node(
    op: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    domain = "",
  ): Value {
    const output = this.#fresh(op);
    this.#nodes.push({ op, domain, inputs, outputs: [output], attributes });
    return output;
  }

  /** Appends an operator with several results. */
  nodeWithOutputs(
    op: string,
    count: number,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): Value[] {
    const outputs = Array.from({ length: count }, () => this.#fresh(op));
    this.#nodes.push({ op, domain: "", inputs, outputs, attributes });
    return outputs;
  }

  /** Says that a device may record a run and repeat it, unless an input is in the host's memory. */
  allowRepeating(): void {
    this.#mayRepeat = true;
  }

  /** A tensor of the model folder; its shape is checked against `dims` when it is read. */
  weight(tensor: string, dims: readonly number[], layout: WeightLayout = "as stored"): Value {
    const known = this.#weights.find((weight) => weight.tensor === tensor && weight.layout === layout);
    if (known) return known.value;
    const value = this.#fresh("weight");
    this.#weights.push({ value, tensor, dims, layout });
    return value;
  }

  /** A constant, int64 [length]. */
  integers(values: readonly number[]): Value {
    const value = this.#fresh("integers");
    const data = BigInt64Array.from(values, BigInt);
    this.#constants.push({
      name: value,
      elementType: "int64",
      dims: [values.length],
      bytes: new Uint8Array(data.buffer),
    });
    return value;
  }

  /** A constant of the tensor's shape; without dims a scalar. */
  constant(tensor: FloatTensor, elementType: "float32" | "float16" = this.precision): Value {
    const value = this.#fresh("constant");
    this.#constants.push({
      name: value,
      elementType,
      dims: tensor.dims,
      bytes: encodeFloats(tensor.data, elementType),
    });
    return value;
  }

  /**
   * Reads the weights and encodes the graph as an ONNX model.
   *
   * @throws UnsupportedError for a weight that is too large, before any is read. InvalidFileError for one that is
   *   missing, of another shape or not finite
   */
  async encode(weights: Weights): Promise<OnnxModel> {
    for (const { tensor, dims } of this.#weights) {
      const bytes = elementCount(dims) * ELEMENT_BYTES[this.precision];
      if (bytes > MAX_WEIGHT_BYTES)
        throw new UnsupportedError(
          `${this.#name}: ${tensor} of ${(bytes / 2 ** 30).toFixed(2)} GiB is not supported (supported: weights of up to 2 GiB each)`,
        );
    }
    const laidOut: OnnxTensor[] = [];
    for (const { value, tensor, dims, layout } of this.#weights) {
      const stored = await weights.read(tensor, dims, this.precision);
      const { data, dims: shape } = layout === "transposed" ? transposed(stored) : stored;
      laidOut.push({
        name: value,
        elementType: this.precision,
        dims: shape,
        bytes: encodeFloats(data, this.precision),
      });
    }
    return this.#encode(laidOut);
  }

  /** Encodes a graph that has no weights. */
  encodeWithoutWeights(): OnnxModel {
    return this.#encode([]);
  }

  /** The tensors that the graph takes from the model folder, with the shapes that it expects there. */
  storedTensors(): readonly { readonly tensor: string; readonly dims: readonly number[] }[] {
    return this.#weights;
  }

  /** Number of parameters that the graph takes from the model folder. */
  parameterCount(): number {
    return this.#weights.reduce((sum, weight) => sum + elementCount(weight.dims), 0);
  }

  /** Bytes of these in the graph's precision. */
  weightBytes(): number {
    return this.parameterCount() * ELEMENT_BYTES[this.precision];
  }

  #encode(weights: readonly OnnxTensor[]): OnnxModel {
    const named = (values: readonly Value[]): Value[] => values.map((value) => this.#results.get(value) ?? value);
    const nodes = this.#nodes.map((node) => ({ ...node, inputs: named(node.inputs), outputs: named(node.outputs) }));
    return encodeOnnxModel({
      name: this.#name,
      isRepeatable: this.#mayRepeat && !this.#inputs.some(({ elementType }) => elementType === "int64"),
      nodes,
      initializers: this.#constants,
      weights,
      inputs: this.#inputs,
      outputs: this.#outputs,
    });
  }

  #fresh(stem: string): Value {
    this.#count += 1;
    return `${stem}_${this.#count}`;
  }
}

function encodeFloats(data: Float32Array | Uint16Array, precision: Precision): Uint8Array {
  const encoded = precision === "float16" && data instanceof Float32Array ? toHalf(data) : data;
  return new Uint8Array(encoded.buffer, encoded.byteOffset, encoded.byteLength);
}
