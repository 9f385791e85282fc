/**
 * Writes ONNX models: the handful of messages of onnx.proto3 that a network graph needs,
 * encoded by protobufjs. Field numbers are those of the ONNX specification (onnx.proto, IR version 10).
 */
import protobuf from "protobufjs/minimal.js";

/** Element types that our graphs use, with onnx.proto's TensorProto.DataType numbers. */
export const ELEMENT_TYPES = { float32: 1, int32: 6, int64: 7, float16: 10 } as const;
export type ElementType = keyof typeof ELEMENT_TYPES;

/** Bytes of one number. */
export const ELEMENT_BYTES = { float32: 4, int32: 4, int64: 8, float16: 2 } as const satisfies Record<
  ElementType,
  number
>;

/** A dimension: a size, or the name of one that is known only when the graph runs. */
export type Dimension = number | string;

export interface OnnxTensor {
  readonly name: string;
  readonly elementType: ElementType;
  readonly dims: readonly number[];
  /** little-endian, row-major */
  readonly bytes: Uint8Array;
}

export interface OnnxValue {
  readonly name: string;
  readonly elementType: ElementType;
  readonly dims: readonly Dimension[];
}

/** Numbers are written as FLOAT, bigint as INT: ONNX tells the two apart, so that the caller must too. */
export type OnnxAttribute = number | bigint | string | readonly bigint[];

export interface OnnxNode {
  readonly op: string;
  /** "" for ONNX's own operators, "com.microsoft" for onnxruntime's */
  readonly domain: string;
  /** An empty name stands for an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxGraph {
  readonly name: string;
  /** see {@link OnnxModel.isRepeatable} */
  readonly isRepeatable: boolean;
  readonly nodes: readonly OnnxNode[];
  /** tensors inside the model */
  readonly initializers: readonly OnnxTensor[];
  /** tensors beside it */
  readonly weights: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/**
 * A model as onnxruntime takes it. Weights stay beside it, in their own memory: inside they would be copied into the
 * message and out of it again, and a protobuf message is limited to 2 GiB.
 */
export interface OnnxModel {
  /** the encoded ModelProto */
  readonly bytes: Uint8Array;
  /** the "files" that its tensors name, in memory */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[];
  /** whether a device may record a run and repeat it: no operator reads numbers from the host's memory */
  readonly isRepeatable: boolean;
}

// Opset 20 is the first with ONNX's own Gelu; IR version 10 is its contemporary.
const IR_VERSION = 10;
const OPSET_VERSION = 20;

type Writer = protobuf.Writer;

const VARINT = 0;
const FIXED32 = 5;
const LENGTH_DELIMITED = 2;
const tag = (field: number, wireType: number): number => ((field << 3) | wireType) >>> 0;

function writeString(writer: Writer, field: number, text: string): void {
  writer.uint32(tag(field, LENGTH_DELIMITED)).string(text);
}

function writeInteger(writer: Writer, field: number, value: number): void {
  writer.uint32(tag(field, VARINT)).int64(value);
}

function writeMessage(writer: Writer, field: number, write: (writer: Writer) => void): void {
  writer.uint32(tag(field, LENGTH_DELIMITED)).fork();
  write(writer);
  writer.ldelim();
}

function writeAttribute(writer: Writer, name: string, value: OnnxAttribute): void {
  const [FLOAT, INT, STRING, INTS] = [1, 2, 3, 7];
  writeString(writer, 1, name);
  if (typeof value === "number") {
    writer.uint32(tag(2, FIXED32)).float(value);
    writeInteger(writer, 20, FLOAT);
  } else if (typeof value === "bigint") {
    writeInteger(writer, 3, Number(value));
    writeInteger(writer, 20, INT);
  } else if (typeof value === "string") {
    writeString(writer, 4, value);
    writeInteger(writer, 20, STRING);
  } else {
    for (const item of value) writeInteger(writer, 8, Number(item));
    writeInteger(writer, 20, INTS);
  }
}

function writeNode(writer: Writer, node: OnnxNode): void {
  for (const input of node.inputs) writeString(writer, 1, input);
  for (const output of node.outputs) writeString(writer, 2, output);
  writeString(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) {
    writeMessage(writer, 5, (attribute) => writeAttribute(attribute, name, value));
  }
  writeString(writer, 7, node.domain);
}

function writeTensor(writer: Writer, tensor: OnnxTensor): void {
  writeTensorType(writer, tensor);
  writer.uint32(tag(9, LENGTH_DELIMITED)).bytes(tensor.bytes);
}

/** A TensorProto whose bytes are in a file. */
export function writeExternalTensor(
  writer: Writer,
  tensor: Omit<OnnxTensor, "bytes">,
  place: { readonly location: string; readonly offset: number; readonly length: number },
): void {
  const EXTERNAL = 1;
  writeTensorType(writer, tensor);
  for (const [key, value] of Object.entries(place)) {
    writeMessage(writer, 13, (entry) => {
      writeString(entry, 1, key);
      writeString(entry, 2, String(value));
    });
  }
  writeInteger(writer, 14, EXTERNAL);
}

function writeTensorType(writer: Writer, tensor: Omit<OnnxTensor, "bytes">): void {
  for (const dim of tensor.dims) writeInteger(writer, 1, dim);
  writeInteger(writer, 2, ELEMENT_TYPES[tensor.elementType]);
  writeString(writer, 8, tensor.name);
}

function writeValue(writer: Writer, value: OnnxValue): void {
  writeString(writer, 1, value.name);
  writeMessage(writer, 2, (type) =>
    writeMessage(type, 1, (tensorType) => {
      writeInteger(tensorType, 1, ELEMENT_TYPES[value.elementType]);
      writeMessage(tensorType, 2, (shape) => {
        for (const dim of value.dims) {
          writeMessage(shape, 1, (dimension) => {
            if (typeof dim === "number") writeInteger(dimension, 1, dim);
            else writeString(dimension, 2, dim);
          });
        }
      });
    }),
  );
}

/** Encodes one graph as a complete ONNX model, in memory. Weights are not copied. */
export function encodeOnnxModel(graph: OnnxGraph): OnnxModel {
  const model = protobuf.Writer.create();
  writeInteger(model, 1, IR_VERSION);
  writeString(model, 2, "blockcache");
  writeMessage(model, 7, (writer) => {
    for (const node of graph.nodes) writeMessage(writer, 1, (message) => writeNode(message, node));
    writeString(writer, 2, graph.name);
    for (const tensor of graph.initializers) writeMessage(writer, 5, (message) => writeTensor(message, tensor));
    for (const tensor of graph.weights)
      writeMessage(writer, 5, (message) =>
        writeExternalTensor(message, tensor, { location: tensor.name, offset: 0, length: tensor.bytes.length }),
      );
    for (const value of graph.inputs) writeMessage(writer, 11, (message) => writeValue(message, value));
    for (const value of graph.outputs) writeMessage(writer, 12, (message) => writeValue(message, value));
  });
  for (const [domain, version] of [
    ["", OPSET_VERSION],
    ["com.microsoft", 1],
  ] as const) {
    writeMessage(model, 8, (opset) => {
      writeString(opset, 1, domain);
      writeInteger(opset, 2, version);
    });
  }
  return {
    bytes: model.finish(),
    externalData: graph.weights.map(({ name, bytes }) => ({ path: name, data: bytes })),
    isRepeatable: graph.isRepeatable,
  };
}
