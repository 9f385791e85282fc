/**
 * The safetensors format: 8 bytes of header length, a JSON header, then the tensors' bytes
 * (https://github.com/huggingface/safetensors#format). The header is checked in full before
 * anything is allocated for what it describes.
 */
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { endianness } from "node:os";
import { ArgumentError, InvalidFileError } from "../errors.js";
import { unreadable } from "./unreadable.js";
import { beginOutput } from "./replaceFile.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { widenBfloat16, widenFloat16, widenFloat64 } from "../numerics/widen.js";
import { MAX_BYTES_AT_ONCE, writeFully } from "./writeFully.js";

/** Bits of one element: of every dtype that the Python library (safetensors 0.8) opens; most are never read here. */
const ELEMENT_BITS = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2: 8,
  F8_E5M2FNUZ: 8,
  F8_E8M0: 8,
  U16: 16,
  I16: 16,
  F16: 16,
  BF16: 16,
  U32: 32,
  I32: 32,
  F32: 32,
  U64: 64,
  I64: 64,
  F64: 64,
  C64: 64,
} as const;
export type SafetensorsDtype = keyof typeof ELEMENT_BITS;

/** The safetensors crate's own limit: a larger header is an attack or damage. */
const MAX_HEADER_BYTES = 100_000_000;
const LENGTH_BYTES = 8;
const ALIGNMENT = 8;

/** Where a tensor lies in its file. */
export interface TensorEntry {
  readonly dtype: SafetensorsDtype;
  readonly dims: readonly number[];
  /** from the start of the file */
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** An open file; tensors are read one at a time. */
export interface SafetensorsFile {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** The same file with other tensors: views into its bytes, without copying. Closing one closes both. */
  withTensors(tensors: ReadonlyMap<string, TensorEntry>): SafetensorsFile;
  /** One tensor, F64, F32, F16 or BF16, as float32. */
  readFloat32(name: string): Promise<FloatTensor>;
  /** One tensor's bytes, little-endian. */
  readRaw(name: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens a file and checks its header.
 *
 * @throws InvalidFileError for a file that is missing, truncated, or whose header lies
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  if (endianness() !== "LE") throw new ArgumentError("safetensors: files are little-endian and this machine is not");
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    throw new InvalidFileError({ file: path, found: unreadable(error), expected: "a safetensors file" });
  }
  try {
    const header = await readHeader(path, handle);
    return fileOf(path, handle, header);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

function fileOf(path: string, handle: FileHandle, { metadata, tensors }: Header): SafetensorsFile {
  const entryOf = (name: string): TensorEntry => {
    const entry = tensors.get(name);
    if (entry === undefined)
      throw new InvalidFileError({
        file: path,
        field: name,
        found: "no such tensor",
        expected: `one of the ${tensors.size} in the file`,
      });
    return entry;
  };
  const readRaw = async (name: string): Promise<Uint8Array> => {
    const { byteOffset, byteLength } = entryOf(name);
    const bytes = new Uint8Array(byteLength);
    await readFully(path, handle, bytes, byteOffset);
    return bytes;
  };
  return {
    path,
    metadata,
    tensors,
    withTensors: (others) => fileOf(path, handle, { metadata, tensors: others }),
    readRaw,
    async readFloat32(name) {
      const { dtype, dims } = entryOf(name);
      if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16" && dtype !== "F64") {
        throw new InvalidFileError({
          file: path,
          field: name,
          found: dtype,
          expected: "F64, F32, F16 or BF16",
          hint: "convert the tensor: quantised weights are not supported",
        });
      }
      const { buffer } = await readRaw(name);
      if (dtype === "F32") return { dims, data: new Float32Array(buffer) };
      if (dtype === "F64") return { dims, data: widenFloat64(new Float64Array(buffer)) };
      const halves = new Uint16Array(buffer);
      return { dims, data: dtype === "F16" ? widenFloat16(halves) : widenBfloat16(halves) };
    },
    close: () => handle.close(),
  };
}

async function readFully(path: string, handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(
      bytes,
      done,
      Math.min(bytes.length - done, MAX_BYTES_AT_ONCE),
      position + done,
    );
    if (bytesRead === 0)
      throw new InvalidFileError({
        file: path,
        found: `the end of the file at byte ${position + done}`,
        expected: `${bytes.length} bytes from byte ${position}`,
        hint: "the file is truncated; download it again",
      });
    done += bytesRead;
  }
}

async function readHeader(path: string, handle: FileHandle): Promise<Header> {
  const information = await handle.stat();
  if (!information.isFile())
    throw new InvalidFileError({
      file: path,
      found: information.isDirectory() ? "a folder" : "something other than a regular file",
      expected: "a safetensors file",
    });
  const { size } = information;
  if (size < LENGTH_BYTES)
    throw new InvalidFileError({
      file: path,
      found: `${size} bytes`,
      expected: "at least 8, the header's length",
      hint: "the file is truncated; download it again",
    });
  const lengthBytes = new Uint8Array(LENGTH_BYTES);
  await readFully(path, handle, lengthBytes, 0);
  const length = new DataView(lengthBytes.buffer).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new InvalidFileError({
      file: path,
      field: "header length",
      found: String(length),
      expected: `at most ${MAX_HEADER_BYTES} bytes`,
      hint: "this is not a safetensors file",
    });
  const dataStart = LENGTH_BYTES + Number(length);
  if (dataStart > size)
    throw new InvalidFileError({
      file: path,
      field: "header length",
      found: `${length} bytes`,
      expected: `at most the ${size - LENGTH_BYTES} that the file holds`,
      hint: "the file is truncated; download it again",
    });
  const bytes = new Uint8Array(Number(length));
  await readFully(path, handle, bytes, LENGTH_BYTES);
  return checkHeader(path, parseHeader(path, bytes), dataStart, size);
}

function parseHeader(path: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const expected = "a JSON object in UTF-8";
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new InvalidFileError({
      file: path,
      field: "header",
      found: error instanceof Error ? error.message.slice(0, 80) : "no JSON",
      expected,
    });
  }
  if (typeof header !== "object" || header === null || Array.isArray(header))
    throw new InvalidFileError({ file: path, field: "header", found: JSON.stringify(header).slice(0, 40), expected });
  return header as Record<string, unknown>;
}

function checkHeader(path: string, header: Readonly<Record<string, unknown>>, dataStart: number, size: number): Header {
  const { __metadata__, ...entries } = header;
  const metadata = __metadata__ ?? {};
  if (
    typeof metadata !== "object" ||
    Array.isArray(metadata) ||
    !Object.values(metadata).every((value) => typeof value === "string")
  ) {
    throw new InvalidFileError({
      file: path,
      field: "__metadata__",
      found: JSON.stringify(metadata).slice(0, 60),
      expected: "an object of strings, or null",
    });
  }
  const tensors = new Map(
    Object.entries(entries).map(([name, entry]) => [name, checkEntry(path, name, entry, dataStart)]),
  );
  const inOrder = [...tensors].sort(([, a], [, b]) => a.byteOffset - b.byteOffset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, { byteOffset, byteLength }] of inOrder) {
    if (byteOffset !== end)
      throw new InvalidFileError({
        file: path,
        field: name,
        found: `data_offsets that start at ${byteOffset - dataStart}`,
        expected: `${end - dataStart}, where the tensor before it ends`,
        hint: "tensors may neither overlap nor leave holes",
      });
    end += byteLength;
  }
  if (end !== size)
    throw new InvalidFileError({
      file: path,
      found: `${size} bytes`,
      expected: `${end}, as the header describes`,
      hint: end > size ? "the file is truncated; download it again" : "the file has bytes that no tensor owns",
    });
  return { metadata: metadata as Record<string, string>, tensors };
}

function checkEntry(path: string, name: string, entry: unknown, dataStart: number): TensorEntry {
  const refuse = (field: string, found: unknown, expected: string): never => {
    throw new InvalidFileError({
      file: path,
      field: `${name}.${field}`,
      found: (JSON.stringify(found) ?? "nothing").slice(0, 60),
      expected,
    });
  };
  if (typeof entry !== "object" || entry === null)
    return refuse("", entry, "an object with dtype, shape and data_offsets");
  const { dtype, shape, data_offsets: offsets } = entry as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BITS, dtype))
    return refuse("dtype", dtype, `one of ${Object.keys(ELEMENT_BITS).join(", ")}`);
  if (!isSizeList(shape)) return refuse("shape", shape, "a list of integers of 0 or more");
  if (!isSizeList(offsets) || offsets.length !== 2 || offsets[0] > offsets[1])
    return refuse("data_offsets", offsets, "[begin, end] with begin ≤ end");
  const byteLength = offsets[1] - offsets[0];
  const needed = (elementCount(shape) * ELEMENT_BITS[dtype as SafetensorsDtype]) / 8;
  if (needed !== byteLength)
    return refuse("data_offsets", offsets, `${needed} bytes for ${dtype} [${shape.join(", ")}]`);
  return { dtype: dtype as SafetensorsDtype, dims: shape, byteOffset: dataStart + offsets[0], byteLength };
}

function isSizeList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** A tensor to write. */
export interface OutgoingTensor {
  readonly dtype: "F64" | "F32" | "I64" | "I32" | "U8";
  readonly dims: readonly number[];
  readonly data: Float64Array | Float32Array | BigInt64Array | Int32Array | Uint8Array;
}

/** What holds the elements of each dtype that is written: arrays of another type would be written as what they are not. */
const ARRAYS = { F64: Float64Array, F32: Float32Array, I64: BigInt64Array, I32: Int32Array, U8: Uint8Array } as const;

/** A tensor's place in a file that is being written. */
export type TensorLayout = Pick<OutgoingTensor, "dtype" | "dims">;

/** Writes tensors of a known layout in any order; the file has its name only once it is whole. */
export interface SafetensorsWriter {
  write(name: string, data: OutgoingTensor["data"]): Promise<void>;
  /** Renames the file to its name; where that fails, nothing is left. Throws ArgumentError where a tensor was not written. */
  close(): Promise<void>;
  /** Removes what was written. */
  abandon(): Promise<void>;
}

/**
 * Begins a file; its folder is made where it is missing.
 *
 * @param path the file gets this name only when it is closed; one that is already there stays as it is until then
 * @param layout every tensor that will be written, by name
 * @throws ArgumentError where no file can be written there; the file system's own error where the disk is full
 */
export async function createSafetensorsWriter(
  path: string,
  layout: ReadonlyMap<string, TensorLayout>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<SafetensorsWriter> {
  const entries: Record<string, unknown> = Object.keys(metadata).length === 0 ? {} : { __metadata__: metadata };
  const offsets = new Map<string, number>();
  let end = 0;
  // Wide elements first, as the safetensors crate lays them out: this aligns every tensor.
  const ordered = [...layout].sort(([, a], [, b]) => ELEMENT_BITS[b.dtype] - ELEMENT_BITS[a.dtype]);
  for (const [name, { dtype, dims }] of ordered) {
    const length = (elementCount(dims) * ELEMENT_BITS[dtype]) / 8;
    entries[name] = { dtype, shape: dims, data_offsets: [end, end + length] };
    offsets.set(name, end);
    end += length;
  }
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const headerLength = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const head = new Uint8Array(LENGTH_BYTES + headerLength).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerLength), true);
  head.set(json, LENGTH_BYTES);

  const output = await beginOutput(path);
  let handle: FileHandle;
  try {
    handle = await open(output.temporary, "r+");
  } catch (error) {
    await output.abandon();
    throw error;
  }
  const abandon = async (): Promise<void> => {
    await handle.close();
    await output.abandon();
  };
  const orAbandon = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      await abandon();
      throw error;
    }
  };
  await orAbandon(() => writeFully(handle, head, 0));
  const missing = new Set(layout.keys());
  return {
    async write(name, data) {
      const place = layout.get(name);
      const offset = offsets.get(name);
      if (place === undefined || offset === undefined)
        throw new ArgumentError(`${path}: ${name} is not in the layout that the file was opened with`);
      if (data.length !== elementCount(place.dims))
        throw new ArgumentError(
          `${path}: ${name}: expected ${elementCount(place.dims)} elements, found ${data.length}`,
        );
      if (!(data instanceof ARRAYS[place.dtype]))
        throw new ArgumentError(
          `${path}: ${name}: expected a ${ARRAYS[place.dtype].name} for ${place.dtype}, found a ${data.constructor.name}`,
        );
      await writeFully(handle, new Uint8Array(data.buffer, data.byteOffset, data.byteLength), head.length + offset);
      missing.delete(name);
    },
    close: () =>
      orAbandon(async () => {
        if (missing.size > 0) throw new ArgumentError(`${path}: ${[...missing][0]} was never written`);
        await handle.close();
        await output.commit();
      }),
    abandon,
  };
}

/** Writes a whole file in one go. Throws the file system's own error, and leaves nothing of the file then. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, OutgoingTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const writer = await createSafetensorsWriter(path, tensors, metadata);
  try {
    for (const [name, { data }] of tensors) await writer.write(name, data);
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  await writer.close();
}
