/**
 * Runs on CUDA that are recorded, once for each form (names, types and shapes) of what they are fed, and then launched
 * as one (a CUDA graph). A network of Stable Diffusion's size launches over a thousand operators per evaluation, and
 * the processor takes longer to launch them than the card to compute them.
 *
 * A recording reads and writes at fixed addresses. Numbers are copied into its places before it is launched, and out
 * of them after it, so that tensors are what they are everywhere else: their owners' alone.
 */
import { DeviceError } from "../../errors.js";
import type { RunOptions } from "../backend.js";
import { Tensor } from "../tensor.js";
import type { CudaStream, Recording } from "./cuda.js";
import { onnxRuntime } from "./library.js";
import { check, textAddress } from "./memory.js";
import type { Pointer } from "./memory.js";
import { DeviceRuns, addressesOf, bindInputs } from "./sessionRuns.js";
import type { Fed, Placement, SessionRuns } from "./sessionRuns.js";
import { NativeValue, createTensor, dataAddressOf } from "./values.js";
import type { Shape } from "./values.js";

/** How many forms of a graph's inputs are remembered; beyond that, the one used longest ago is forgotten. */
const MOST_FORMS = 16;

/**
 * What a form does before it is recorded: one run that may be on a worker thread and shows the results' shapes, and one
 * in place, so that what CUDA sets up per thread is set up.
 */
const RUNS_BEFORE = 2;

interface Place extends Shape {
  readonly value: NativeValue;
  users: number;
}

/**
 * The fixed places of every recording on one stream. What they hold only passes through, so that all recordings share
 * them.
 */
export class Places {
  readonly #allocator: Pointer;
  /** slot, type and dims → place */
  readonly #places = new Map<string, Place>();

  /** @param allocator of the device's memory */
  constructor(allocator: Pointer) {
    this.#allocator = allocator;
  }

  /** @param slot tells apart the places that one recording needs at once */
  take(slot: string, { type, dims }: Shape): Place {
    const key = `${slot} ${type} ${dims.join("×")}`;
    const place = this.#places.get(key) ?? { value: this.allocate({ type, dims }), type, dims, users: 0 };
    this.#places.set(key, place);
    place.users++;
    return place;
  }

  giveBack(place: Place): void {
    place.users--;
    if (place.users > 0) return;
    for (const [key, each] of this.#places) if (each === place) this.#places.delete(key);
    place.value.free();
  }

  /**
   * A tensor on the device, outside every session's memory, which that session's recordings may overwrite at any time.
   */
  allocate({ type, dims }: Shape): NativeValue {
    return new NativeValue(createTensor(this.#allocator, type, dims), "device", { type, dims });
  }
}

/** What is known about a form of a graph's inputs. */
interface Form {
  runs: number;
  /** of the results, once it has run */
  shapes?: readonly Shape[];
  recorded?: Recorded;
  /** whether the device refused to record it */
  isRefused?: boolean;
}

/** Reasons that the user has been told: every block of a network is refused for the same one. */
const told = new Set<string>();

function tellOfRefusal(reason: string): void {
  if (told.has(reason)) return;
  told.add(reason);
  process.emitWarning(`a run cannot be recorded (${reason}): its operators are launched one by one, which is slower`);
}

interface Recorded {
  readonly recording: Recording;
  readonly inputs: readonly Place[];
  readonly outputs: readonly Place[];
}

/** What recorded runs need of a stream. */
export type RecordingStream = Pick<CudaStream, "record" | "replay" | "forget" | "copyOnDevice" | "finish">;

/** Makes the runs of one session on CUDA. */
export class RecordedRuns implements SessionRuns {
  readonly #session: Pointer;
  readonly #placement: Placement;
  readonly #stream: RecordingStream;
  readonly #places: Places;
  readonly #plain: DeviceRuns;
  readonly #forms = new Map<string, Form>();

  constructor(session: Pointer, placement: Placement, stream: RecordingStream, places: Places) {
    this.#session = session;
    this.#placement = placement;
    this.#stream = stream;
    this.#places = places;
    this.#plain = new DeviceRuns(session, placement);
  }

  async run(fed: Fed, outputs: readonly string[], options: RunOptions): Promise<Tensor[]> {
    if (options.toHost === true) return this.#plain.run(fed, outputs, options);
    const results = await this.#run(fed, outputs);
    if (options.waits === true) await this.#stream.finish();
    return results;
  }

  async #run(fed: Fed, outputs: readonly string[]): Promise<Tensor[]> {
    if (fed.tensors.some(({ location }) => location === "host")) return this.#runUnknown(fed, outputs);
    const form = this.#form(fed, outputs);
    form.runs++;
    // While another thread is launching, a recording would hold what it launches too, and a replay between its
    // operators would overwrite the session's memory that they compute in.
    const isAlone = this.#placement.underWay.count === 0;
    if (isAlone && form.shapes !== undefined) return this.#runAgain(form, form.shapes, fed, outputs);
    const results = await this.#runUnknown(fed, outputs);
    form.shapes = results.map(({ type, dims }) => ({ type, dims }));
    return results;
  }

  release(): void {
    for (const form of this.#forms.values()) this.#forget(form);
    this.#forms.clear();
  }

  /** What was seen of inputs of these shapes. */
  #form({ names, tensors }: Fed, outputs: readonly string[]): Form {
    const inputs = tensors.map(({ type, dims }, index) => `${names[index]} ${type} ${dims.join("×")}`);
    const key = [...inputs, ...outputs].join("\n");
    const form = this.#forms.get(key) ?? { runs: 0 };
    // Moved to the end, so that the first is the one used longest ago.
    this.#forms.delete(key);
    this.#forms.set(key, form);
    if (this.#forms.size > MOST_FORMS) {
      const [[oldest, unused]] = this.#forms;
      this.#forms.delete(oldest);
      this.#forget(unused);
    }
    return form;
  }

  #forget({ recorded }: Form): void {
    if (recorded === undefined) return;
    this.#stream.forget(recorded.recording);
    this.#giveBack([...recorded.inputs, ...recorded.outputs]);
  }

  #giveBack(places: readonly Place[]): void {
    for (const place of places) this.#places.giveBack(place);
  }

  /** Runs without knowing the results' shapes: they are made in the session's memory, and copied out of it. */
  async #runUnknown(fed: Fed, outputs: readonly string[]): Promise<Tensor[]> {
    const results = await this.#plain.run(fed, outputs, {});
    return results.map((result) => {
      using made = result;
      return this.#copyOf(dataAddressOf(made.storage), made);
    });
  }

  #runAgain(form: Form, shapes: readonly Shape[], fed: Fed, outputs: readonly string[]): Tensor[] {
    if (form.recorded === undefined && form.isRefused !== true && form.runs > RUNS_BEFORE) {
      try {
        form.recorded = this.#record(fed, outputs, shapes);
      } catch (error) {
        if (!(error instanceof DeviceError)) throw error;
        form.isRefused = true;
        tellOfRefusal(error.message);
      }
    }
    if (form.recorded !== undefined) return this.#replay(form.recorded, fed);
    const results = shapes.map((shape) => this.#places.allocate(shape));
    this.#launch(fed.names, addressesOf(fed), outputs, results);
    return results.map((value) => new Tensor(value));
  }

  #record(fed: Fed, outputs: readonly string[], shapes: readonly Shape[]): Recorded {
    const inputs = fed.tensors.map((tensor, index) => this.#places.take(`in ${index}`, tensor));
    const places = shapes.map((shape, index) => this.#places.take(`out ${index}`, shape));
    const addresses = inputs.map(({ value }) => value.address);
    try {
      const recording = this.#stream.record(() =>
        this.#launch(
          fed.names,
          addresses,
          outputs,
          places.map(({ value }) => value),
        ),
      );
      return { recording, inputs, outputs: places };
    } catch (error) {
      this.#giveBack([...inputs, ...places]);
      throw error;
    }
  }

  #replay({ recording, inputs, outputs }: Recorded, fed: Fed): Tensor[] {
    inputs.forEach(({ value }, index) => {
      const tensor = fed.tensors[index];
      this.#stream.copyOnDevice(value.dataAddress(), dataAddressOf(tensor.storage), tensor.bytes);
    });
    this.#stream.replay(recording);
    return outputs.map((place) => this.#copyOf(place.value.dataAddress(), place));
  }

  /** Puts the session's operators on the stream, in place, with results at given addresses. */
  #launch(
    names: readonly string[],
    addresses: readonly Pointer[],
    outputs: readonly string[],
    results: readonly NativeValue[],
  ): void {
    const { call } = onnxRuntime();
    const binding = bindInputs(this.#session, names, addresses);
    try {
      outputs.forEach((name, index) =>
        check(call.BindOutput(binding, textAddress(name), results[index].address), name),
      );
      check(call.RunWithBinding(this.#session, this.#placement.runOptions, binding), "run", this.#placement.freeBytes);
    } finally {
      call.ReleaseIoBinding(binding);
    }
  }

  #copyOf(source: Pointer, shape: Shape): Tensor {
    const tensor = new Tensor(this.#places.allocate(shape));
    this.#stream.copyOnDevice(dataAddressOf(tensor.storage), source, tensor.bytes);
    return tensor;
  }
}
