/** Tensors in onnxruntime's memory. */
import koffi from "koffi";
import { ArgumentError } from "../../errors.js";
import { ELEMENT_BYTES, ELEMENT_TYPES } from "../../graphs/onnx.js";
import type { ElementType } from "../../graphs/onnx.js";
import { elementCount } from "../../numerics/tensor.js";
import type { HostNumbers } from "../backend.js";
import type { ElementArray, TensorLocation, TensorStorage } from "../tensor.js";
import { environmentOf } from "./environment.js";
import { onnxRuntime } from "./library.js";
import { check, copyMemory, receive } from "./memory.js";
import type { Pointer } from "./memory.js";

const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, int64: BigInt64Array } as const;
const TYPES = new Map<number, ElementType>(
  Object.entries(ELEMENT_TYPES).map(([type, code]) => [code, type as ElementType]),
);

/** What a tensor's numbers are, and how they are laid out. */
export interface Shape {
  readonly type: ElementType;
  /** outermost first */
  readonly dims: readonly number[];
}

/** An OrtValue that holds a tensor. */
export class NativeValue implements TensorStorage {
  readonly address: Pointer;
  readonly location: TensorLocation;
  #shape: Shape | undefined;
  #data: Pointer | undefined;

  /** @param shape if absent, it is read when first asked for */
  constructor(address: Pointer, location: TensorLocation, shape?: Shape) {
    this.address = address;
    this.location = location;
    this.#shape = shape;
  }

  /** A value in host memory, not initialised. */
  static allocate(type: ElementType, dims: readonly number[]): NativeValue {
    const { allocator } = environmentOf();
    return new NativeValue(createTensor(allocator, type, dims), "host", { type, dims });
  }

  /** Copies numbers into a value in host memory. */
  static fromHost({ type, dims, data }: HostNumbers): NativeValue {
    const value = NativeValue.allocate(type, dims);
    copyMemory(value.dataAddress(), data, elementCount(dims) * ELEMENT_BYTES[type]);
    return value;
  }

  /** A value whose numbers are JavaScript's: a copy into it writes them, and it must not outlive them. */
  static over({ type, dims, data }: HostNumbers): NativeValue {
    const shape = BigInt64Array.from(dims, BigInt);
    const address = receive(
      "tensor",
      onnxRuntime().call.CreateTensorWithDataAsOrtValue,
      environmentOf().hostMemory,
      data,
      data.byteLength,
      shape,
      shape.length,
      ELEMENT_TYPES[type],
    );
    return new NativeValue(address, "host", { type, dims });
  }

  get type(): ElementType {
    return this.#describe().type;
  }

  get dims(): readonly number[] {
    return this.#describe().dims;
  }

  view(): ElementArray {
    this.#requireHost();
    const { type, dims } = this.#describe();
    const count = elementCount(dims);
    if (count === 0) return new ARRAYS[type](0);
    return new ARRAYS[type](koffi.view(this.dataAddress(), count * ELEMENT_BYTES[type]), 0, count);
  }

  copyTo(target: ElementArray, from: number): void {
    this.#requireHost();
    const { type, dims } = this.#describe();
    const count = elementCount(dims);
    if (!(target instanceof ARRAYS[type]) || from < 0 || from + target.length > count)
      throw new ArgumentError(
        `tensor: expected to fill a ${ARRAYS[type].name} with some of ${count} numbers, found a ${target.constructor.name} of ${target.length} from number ${from} on`,
      );
    if (target.length === 0) return;
    copyMemory(target, this.dataAddress() + BigInt(from * ELEMENT_BYTES[type]), target.byteLength);
  }

  /** Where the numbers are: in host memory, or in the device's. */
  dataAddress(): Pointer {
    this.#data ??= receive("tensor", onnxRuntime().call.GetTensorMutableData, this.address);
    return this.#data;
  }

  free(): void {
    onnxRuntime().call.ReleaseValue(this.address);
  }

  #requireHost(): void {
    if (this.location !== "host")
      throw new TypeError("tensor: its numbers are on the device, and must be downloaded first");
  }

  #describe(): Shape {
    this.#shape ??= this.#askShape();
    return this.#shape;
  }

  #askShape(): Shape {
    const { call } = onnxRuntime();
    const information = receive("tensor", call.GetTensorTypeAndShape, this.address);
    try {
      const rank = Number(receive("tensor", call.GetDimensionsCount, information));
      const dims = new BigInt64Array(rank);
      check(call.GetDimensions(information, dims, rank), "tensor");
      const code = new Int32Array(1);
      check(call.GetTensorElementType(information, code), "tensor");
      const type = TYPES.get(code[0]);
      if (type === undefined)
        throw new TypeError(`tensor: element type ${code[0]} of ONNX is not one that our graphs give`);
      return { type, dims: Array.from(dims, Number) };
    } finally {
      call.ReleaseTensorTypeAndShapeInfo(information);
    }
  }
}

/** An OrtValue in an allocator's memory. */
export function createTensor(allocator: Pointer, type: ElementType, dims: readonly number[]): Pointer {
  const shape = BigInt64Array.from(dims, BigInt);
  const { CreateTensorAsOrtValue } = onnxRuntime().call;
  return receive("tensor", CreateTensorAsOrtValue, allocator, shape, shape.length, ELEMENT_TYPES[type]);
}

/** An array to be written over. */
export function emptyArray(type: ElementType, count: number): ElementArray {
  return new ARRAYS[type](count);
}

/** A tensor's OrtValue. */
export function addressOf(storage: TensorStorage): Pointer {
  return nativeValue(storage).address;
}

/** Where a tensor's numbers are. */
export function dataAddressOf(storage: TensorStorage): Pointer {
  return nativeValue(storage).dataAddress();
}

function nativeValue(storage: TensorStorage): NativeValue {
  if (!(storage instanceof NativeValue)) throw new TypeError("tensor: made by another backend");
  return storage;
}
