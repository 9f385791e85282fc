/** The backend: graphs and tensors of one device, by ONNX Runtime's C API. */
import { availableParallelism } from "node:os";
import { DeviceError } from "../../errors.js";
import { FLOAT32, GraphBuilder } from "../../graphs/graphBuilder.js";
import type { ElementType, OnnxModel } from "../../graphs/onnx.js";
import { elementCount } from "../../numerics/tensor.js";
import type { Backend, CompiledGraph, HostNumbers } from "../backend.js";
import { Tensor } from "../tensor.js";
import type { ElementArray, TensorLocation } from "../tensor.js";
import type { CudaStream } from "./cuda.js";
import { environmentOf, turnsOutWithoutPool } from "./environment.js";
import { NativeGraph } from "./graph.js";
import { onnxRuntime } from "./library.js";
import { addressesOf, check, receive, receiveAside, textAddresses, whileHeld } from "./memory.js";
import type { Pointer } from "./memory.js";
import { Places, RecordedRuns } from "./recordedRuns.js";
import { DeviceRuns, HostRuns } from "./sessionRuns.js";
import type { Placement, SessionRuns } from "./sessionRuns.js";
import { NativeValue, addressOf, createTensor, dataAddressOf, emptyArray } from "./values.js";

/** What a device's sessions are made with, as its row in the device table says (devices.ts). */
export interface ProviderSettings {
  /** onnxruntime's name for the execution provider; absent for the CPU's, which is always there */
  readonly provider?: "CUDA" | "WebGPU" | "DML" | "CoreML";
  readonly options?: Readonly<Record<string, string>>;
  /** onnxruntime's name for the memory in which results stay; absent where that is the host's */
  readonly memory?: string;
  /** on CUDA, the stream that all sessions share */
  readonly stream?: CudaStream;
  /** threads inside an operator, on the CPU. Default: one for each core */
  readonly threads?: number;
}

const [DEVICE_ALLOCATOR, DEFAULT_MEMORY] = [0, 0];
const LOG_ERRORS = 3;

/** A device's own memory. */
interface DeviceMemory extends Placement {
  /** for tensors that belong to no session; made from a session, which is held as long as the allocator */
  readonly allocator: Pointer;
  readonly places: Places;
}

/** Compiles and moves tensors for one device. */
export class NativeBackend implements Backend {
  readonly #settings: ProviderSettings;
  #deviceMemory: DeviceMemory | undefined;

  private constructor(settings: ProviderSettings) {
    this.#settings = settings;
  }

  /**
   * Opens a device, and proves on a graph of one operator that it computes and that its numbers can be moved.
   *
   * @throws DeviceUnavailableError where onnxruntime's library is missing; DeviceError where the device does not answer
   */
  static async open(settings: ProviderSettings): Promise<NativeBackend> {
    const backend = new NativeBackend(settings);
    environmentOf(settings.threads);
    if (settings.provider === undefined) return backend;
    const graph = new GraphBuilder("probe", FLOAT32);
    graph.output("y", graph.node("Relu", [graph.input("x", [3])]), [3]);
    const model = graph.encodeWithoutWeights();
    if (settings.memory !== undefined)
      backend.#deviceMemory = deviceMemory(settings, settings.memory, await backend.#compile(model));
    const probe = await backend.compile(model);
    using x = backend.upload({ type: "float32", dims: [3], data: Float32Array.of(-1, 2, 3) });
    const [y] = await probe.run({ x }, ["y"]);
    try {
      const found = await backend.download(y);
      if (String(found) !== "0,2,3")
        throw new DeviceError(`expected 0, 2, 3 of a graph of one operator, found ${found.join(", ")}`);
      return backend;
    } finally {
      y.release();
      probe.release();
    }
  }

  async compile(model: OnnxModel): Promise<CompiledGraph> {
    const session = await this.#compile(model);
    return new NativeGraph(session, this.#runsOf(session, model));
  }

  #runsOf(session: Pointer, { isRepeatable }: OnnxModel): SessionRuns {
    const { stream } = this.#settings;
    if (this.#deviceMemory === undefined) return new HostRuns(session);
    if (stream === undefined || !isRepeatable) return new DeviceRuns(session, this.#deviceMemory);
    return new RecordedRuns(session, this.#deviceMemory, stream, this.#deviceMemory.places);
  }

  allocate(type: ElementType, dims: readonly number[]): Tensor {
    const tensor = new Tensor(NativeValue.allocate(type, dims));
    tensor.view().fill(0 as never);
    return tensor;
  }

  upload(numbers: HostNumbers, location: TensorLocation = "device"): Tensor {
    const host = NativeValue.fromHost(numbers);
    if (this.#deviceMemory === undefined || location === "host") return new Tensor(host);
    const { type, dims, data } = numbers;
    const value = new NativeValue(createTensor(this.#deviceMemory.allocator, type, dims), "device", { type, dims });
    try {
      if (this.#settings.stream === undefined) copy(host.address, value.address);
      else this.#settings.stream.copyToDevice(value.dataAddress(), data);
      return new Tensor(value);
    } catch (error) {
      value.free();
      throw error;
    } finally {
      host.free();
    }
  }

  async download(tensor: Tensor): Promise<ElementArray> {
    const { type, dims, storage } = tensor;
    const numbers = emptyArray(type, elementCount(dims));
    if (tensor.location === "host") {
      tensor.copyTo(numbers);
      return numbers;
    }
    if (this.#settings.stream !== undefined) {
      await this.#settings.stream.copyToHost(numbers, dataAddressOf(storage));
      return numbers;
    }
    const host = NativeValue.over({ type, dims, data: numbers });
    try {
      copy(addressOf(storage), host.address);
      return numbers;
    } finally {
      host.free();
    }
  }

  async #compile(model: OnnxModel): Promise<Pointer> {
    try {
      return await this.#createSession(model);
    } catch (error) {
      if (!turnsOutWithoutPool(error)) throw error;
      return this.#createSession(model);
    }
  }

  async #createSession({ bytes, externalData }: OnnxModel): Promise<Pointer> {
    const { call } = onnxRuntime();
    const options = receive("session", call.CreateSessionOptions);
    try {
      this.#configure(options);
      const data = externalData.map((each) => each.data);
      const lengths = BigUint64Array.from(data, ({ byteLength }) => BigInt(byteLength));
      if (data.length > 0)
        check(
          call.AddExternalInitializersFromFilesInMemory(
            options,
            textAddresses(externalData.map(({ path }) => path)),
            addressesOf(data),
            lengths,
            data.length,
          ),
          "weights",
        );
      return await whileHeld(data, () =>
        receiveAside("compile", call.CreateSessionFromArray, environmentOf().address, bytes, bytes.byteLength, options),
      );
    } finally {
      call.ReleaseSessionOptions(options);
    }
  }

  #configure(options: Pointer): void {
    const { call } = onnxRuntime();
    const { provider, options: providerOptions = {}, threads } = this.#settings;
    check(call.SetSessionLogSeverityLevel(options, LOG_ERRORS), "session");
    const shared = environmentOf().threads;
    if (shared > 0 && (threads === undefined || threads === shared))
      check(call.DisablePerSessionThreads(options), "threads");
    else check(call.SetIntraOpNumThreads(options, threads ?? availableParallelism()), "threads");
    // CUDA's sessions keep an arena of pinned memory too: without it, a copy from the host's memory ends in a callback
    // that frees memory, which CUDA forbids there, and the process is aborted.
    if (provider !== "CUDA") check(call.AddSessionConfigEntry(options, "session.use_env_allocators", "1"), "session");
    // A memory pattern allocates all of a run's memory as one block, which the shared arena must then find: 5 % slower
    // on the CPU.
    check(call.DisableMemPattern(options), "session");
    if (provider === undefined) return;
    const [keys, values] = [textAddresses(Object.keys(providerOptions)), textAddresses(Object.values(providerOptions))];
    if (provider !== "CUDA") {
      check(call.SessionOptionsAppendExecutionProvider(options, provider, keys, values, keys.length), provider);
      return;
    }
    const cuda = receive(provider, call.CreateCUDAProviderOptions);
    try {
      check(call.UpdateCUDAProviderOptions(cuda, keys, values, keys.length), provider);
      check(call.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda), provider);
    } finally {
      call.ReleaseCUDAProviderOptions(cuda);
    }
  }
}

function deviceMemory({ stream }: ProviderSettings, name: string, session: Pointer): DeviceMemory {
  const { call } = onnxRuntime();
  const memory = receive("device memory", call.CreateMemoryInfo, name, DEVICE_ALLOCATOR, 0, DEFAULT_MEMORY);
  const runOptions = receive("run options", call.CreateRunOptions);
  // Results that stay on the device are read by later work of the same queue: nobody needs to wait for them.
  check(call.AddRunConfigEntry(runOptions, "disable_synchronize_execution_providers", "1"), "run options");
  const allocator = receive("device memory", call.CreateAllocator, session, memory);
  return {
    memory,
    runOptions,
    freeBytes: stream && (() => stream.freeBytes()),
    allocator,
    places: new Places(allocator),
    underWay: { count: 0 },
  };
}

/** Copies a tensor's numbers into another of the same shape, wherever the two are. */
function copy(source: Pointer, target: Pointer): void {
  const { call } = onnxRuntime();
  check(
    call.CopyTensors(environmentOf().address, BigUint64Array.of(source), BigUint64Array.of(target), null, 1),
    "copy",
  );
}
