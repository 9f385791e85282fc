import { ReleasedError } from "../errors.js";
import { ELEMENT_BYTES } from "../graphs/onnx.js";
import type { ElementType } from "../graphs/onnx.js";
import { elementCount } from "../numerics/tensor.js";

/** Where a tensor's numbers lie: in memory that the processor reads, or only on the device. */
export type TensorLocation = "host" | "device";

/** Numbers as the processor sees them; float16 as its bits. */
export type ElementArray = Float32Array | Uint16Array | Int32Array | BigInt64Array;

/** What holds a tensor's numbers: the backend's own memory. */
export interface TensorStorage {
  readonly location: TensorLocation;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** The numbers in place; only for those on the host. */
  view(): ElementArray;
  /** Fills `target` with the numbers from the index `from` on; only for those on the host. */
  copyTo(target: ElementArray, from: number): void;
  /** Gives the memory back. */
  free(): void;
}

/** tensors that have been made and not yet given back, in this process */
let live = 0;

/** How many tensors have an owner now: 0 once everything that ran has ended. */
export function liveTensors(): number {
  return live;
}

/**
 * Numbers in a backend's memory.
 *
 * Who owns what: a tensor has one owner when it is made; whoever keeps it beyond the call in which it was shown
 * calls `retain()`, and every owner calls `release()` once; the last release gives the memory back.
 */
export class Tensor {
  readonly location: TensorLocation;
  #storage: TensorStorage | undefined;
  #owners = 1;
  #view: ElementArray | undefined;

  constructor(storage: TensorStorage) {
    this.#storage = storage;
    this.location = storage.location;
    live++;
  }

  get type(): ElementType {
    return this.storage.type;
  }

  /** Sizes, outermost first. */
  get dims(): readonly number[] {
    return this.storage.dims;
  }

  /** Bytes of all numbers. */
  get bytes(): number {
    return elementCount(this.dims) * ELEMENT_BYTES[this.type];
  }

  /** Whether it has an owner besides the one who asks, so that its numbers must stay as they are. */
  get isShared(): boolean {
    return this.#owners > 1;
  }

  /**
   * What holds the numbers, for the backend that made it.
   *
   * @throws ReleasedError after the last owner's release
   */
  get storage(): TensorStorage {
    if (this.#storage === undefined)
      throw new ReleasedError(
        "tensor: expected one that is still owned, found one whose last owner released it — retain() what you keep",
      );
    return this.#storage;
  }

  /**
   * The numbers in place, without a copy: for work that ends before the tensor does. Copy what must outlive it. Each
   * view counts as JavaScript memory until the garbage collector finds that nobody uses it: code that looks at every
   * block of every evaluation should copy instead ({@link copyTo}).
   *
   * @throws ReleasedError after the last owner's release; TypeError for a tensor on a device
   */
  view(): ElementArray {
    const { storage } = this;
    this.#view ??= storage.view();
    return this.#view;
  }

  /**
   * Fills `target`, an array of the tensor's element type, with the numbers from the index `from` on, in row-major order.
   *
   * @throws ArgumentError where they end before `target` is full or are of another type; ReleasedError after the last
   *   owner's release; TypeError for a tensor on a device
   */
  copyTo(target: ElementArray, from = 0): void {
    this.storage.copyTo(target, from);
  }

  /** Adds an owner, and returns the tensor. */
  retain(): this {
    void this.storage;
    this.#owners++;
    return this;
  }

  /**
   * Gives up one owner's share; the last one gives the memory back.
   *
   * @throws ReleasedError where every owner has released it already
   */
  release(): void {
    const { storage } = this;
    this.#owners--;
    if (this.#owners > 0) return;
    this.#storage = undefined;
    this.#view = undefined;
    live--;
    storage.free();
  }

  /** `using tensor = …` releases at the end of its block. */
  [Symbol.dispose](): void {
    this.release();
  }
}

/** Gives up an owner's share of each. */
export function releaseAll(tensors: Iterable<Tensor>): void {
  for (const tensor of tensors) tensor.release();
}
