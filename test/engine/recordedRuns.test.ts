/**
 * Recorded runs without a card: onnxruntime computes on the CPU, and a stream repeats what was launched, at the
 * addresses at which it was recorded, as CUDA does.
 */
import koffi from "koffi";
import { afterEach, expect, test } from "vitest";
import { Tensor, liveTensors } from "../../src/engine/tensor.js";
import type { Recording } from "../../src/engine/native/cuda.js";
import { environmentOf } from "../../src/engine/native/environment.js";
import { NativeGraph } from "../../src/engine/native/graph.js";
import { onnxRuntime } from "../../src/engine/native/library.js";
import { check, receive } from "../../src/engine/native/memory.js";
import type { Pointer } from "../../src/engine/native/memory.js";
import { Places, RecordedRuns } from "../../src/engine/native/recordedRuns.js";
import type { RecordingStream } from "../../src/engine/native/recordedRuns.js";
import { NativeValue, dataAddressOf } from "../../src/engine/native/values.js";
import { DeviceError } from "../../src/errors.js";
import { FLOAT32, GraphBuilder } from "../../src/graphs/graphBuilder.js";

/** Records what is launched and computes it only when it is replayed. */
class RepeatingStream implements RecordingStream {
  readonly launches = new Map<Pointer, () => void>();
  replays = 0;
  made = 0;
  refuses = false;

  record(launch: () => void): Recording {
    if (this.refuses) throw new DeviceError("cuda: record: a call to the host cannot be repeated");
    const executable = BigInt(++this.made);
    this.launches.set(executable, launch);
    return { executable };
  }

  replay({ executable }: Recording): void {
    this.replays++;
    const launch = this.launches.get(executable);
    if (launch === undefined) throw new Error("replays a recording that was forgotten");
    launch();
  }

  forget({ executable }: Recording): void {
    this.launches.delete(executable);
  }

  copyOnDevice(target: Pointer, source: Pointer, bytes: number): void {
    koffi.encode(target, "uint8_t", koffi.decode(source, "uint8_t", bytes), bytes);
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }
}

/** y = 2x + z, and product = x · z, of any number of numbers. */
function open(
  stream: RecordingStream,
  underWay = { count: 0 },
): { graph: NativeGraph; fed: (...numbers: number[]) => Tensor } {
  const { call } = onnxRuntime();
  const builder = new GraphBuilder("recorded", FLOAT32);
  const [x, z] = [builder.input("x", ["n"]), builder.input("z", ["n"])];
  builder.output("y", builder.node("Add", [builder.node("Add", [x, x]), z]), ["n"]);
  builder.output("product", builder.node("Mul", [x, z]), ["n"]);
  const { bytes } = builder.encodeWithoutWeights();
  const options = receive("session", call.CreateSessionOptions);
  check(call.DisablePerSessionThreads(options), "session");
  const { address, hostMemory, allocator } = environmentOf();
  const session = receive("compile", call.CreateSessionFromArray, address, bytes, bytes.byteLength, options);
  call.ReleaseSessionOptions(options);
  const placement = { memory: hostMemory, runOptions: receive("run options", call.CreateRunOptions), underWay };
  const places = new Places(allocator);
  return {
    graph: new NativeGraph(session, new RecordedRuns(session, placement, stream, places)),
    fed(...numbers) {
      const value = places.allocate({ type: "float32", dims: [numbers.length] });
      write(value.dataAddress(), numbers);
      return new Tensor(value);
    },
  };
}

function write(address: Pointer, numbers: readonly number[]): void {
  koffi.encode(address, "float", numbers, numbers.length);
}

function read(tensor: Tensor): number[] {
  return [...(koffi.decode(dataAddressOf(tensor.storage), "float", tensor.bytes / 4) as number[])];
}

afterEach(() => expect(liveTensors()).toBe(0));

test("a form is recorded at its third run; results are right before and after, and no one else's", async () => {
  const stream = new RepeatingStream();
  const { graph, fed } = open(stream);
  const kept: { y: Tensor; expected: number[] }[] = [];
  for (let run = 0; run < 6; run++) {
    using x = fed(run, 10);
    using z = fed(1, run);
    const [y, product] = await graph.run({ x, z }, ["y", "product"]);
    expect(read(product)).toEqual([run, 10 * run]);
    product.release();
    kept.push({ y, expected: [2 * run + 1, 20 + run] });
  }
  // Replays write at fixed addresses: what an owner keeps from an earlier one stays as it was.
  for (const { y, expected } of kept) {
    expect(read(y)).toEqual(expected);
    y.release();
  }
  expect([stream.made, stream.replays]).toEqual([1, 4]);
  graph.release();
  expect(stream.launches.size).toBe(0);
});

test("other shapes and other results are forms of their own; of many the oldest is forgotten", async () => {
  const stream = new RepeatingStream();
  const { graph, fed } = open(stream);
  for (let length = 1; length <= 20; length++) {
    for (let run = 0; run < 3; run++) {
      using x = fed(...Array<number>(length).fill(run));
      using z = fed(...Array<number>(length).fill(5));
      const [y] = await graph.run({ x, z }, ["y"]);
      using result = y;
      expect(read(result)).toEqual(Array<number>(length).fill(2 * run + 5));
    }
  }
  expect(stream.made).toBe(20);
  expect(stream.launches.size).toBe(16);
  using x = fed(3);
  using z = fed(4);
  const [y, product] = await graph.run({ x, z }, ["y", "product"]);
  expect([read(y), read(product)]).toEqual([[10], [12]]);
  y.release();
  product.release();
  graph.release();
  expect(stream.launches.size).toBe(0);
});

test("where a recording is refused, every run launches its operators, and is right; why is said once", async () => {
  const stream = new RepeatingStream();
  stream.refuses = true;
  const warnings: string[] = [];
  const listen = ({ message }: Error): number => warnings.push(message);
  process.on("warning", listen);
  const { graph, fed } = open(stream);
  for (let run = 0; run < 5; run++) {
    using x = fed(run);
    using z = fed(7);
    const [y] = await graph.run({ x, z }, ["y"]);
    using result = y;
    expect(read(result)).toEqual([2 * run + 7]);
  }
  expect([stream.made, stream.replays]).toEqual([0, 0]);
  await new Promise(setImmediate);
  process.off("warning", listen);
  expect(warnings).toEqual([
    "a run cannot be recorded (cuda: record: a call to the host cannot be repeated): its operators are launched one by one, which is slower",
  ]);
  graph.release();
});

test("a run that is fed from the host's memory is never recorded", async () => {
  const stream = new RepeatingStream();
  const { graph, fed } = open(stream);
  for (let run = 0; run < 5; run++) {
    using x = fed(run);
    using z = new Tensor(NativeValue.fromHost({ type: "float32", dims: [1], data: Float32Array.of(run) }));
    const [y] = await graph.run({ x, z }, ["y"]);
    using result = y;
    expect(read(result)).toEqual([3 * run]);
  }
  expect(stream.made).toBe(0);
  graph.release();
});

test("nothing is recorded while another thread may launch on the stream", async () => {
  const stream = new RepeatingStream();
  const underWay = { count: 1 };
  const { graph, fed } = open(stream, underWay);
  for (let run = 0; run < 5; run++) {
    if (run === 4) underWay.count = 0;
    using x = fed(run);
    using z = fed(7);
    const [y] = await graph.run({ x, z }, ["y"]);
    using result = y;
    expect(read(result)).toEqual([2 * run + 7]);
    expect(stream.made).toBe(run === 4 ? 1 : 0);
  }
  graph.release();
});

test("nothing is replayed while another thread may launch on the stream", async () => {
  const stream = new RepeatingStream();
  const underWay = { count: 0 };
  const { graph, fed } = open(stream, underWay);
  for (let run = 0; run < 6; run++) {
    underWay.count = run === 4 ? 1 : 0;
    using x = fed(run);
    using z = fed(7);
    const [y] = await graph.run({ x, z }, ["y"]);
    using result = y;
    expect(read(result)).toEqual([2 * run + 7]);
    expect(stream.replays).toBe([0, 0, 1, 2, 2, 3][run]);
  }
  graph.release();
});
