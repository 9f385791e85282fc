import type * as ort from "onnxruntime-node";
import type { GraphBuilder } from "../graphs/graphBuilder.js";
import type { Weights } from "../models/weights.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Device } from "./device.js";
import { release } from "./ownership.js";
import { createSessions } from "./session.js";
import type { DeviceTensor } from "./session.js";
import { toHost } from "./transfer.js";

/** A graph with one result that goes to host memory: the autoencoder's two halves, and the steps of the banded decoder. */
export class GraphRunner {
  readonly #session: ort.InferenceSession;
  readonly #device: Device;

  private constructor(session: ort.InferenceSession, device: Device) {
    this.#session = session;
    this.#device = device;
  }

  /** Compiles a graph; throws what {@link createSessions} throws. */
  static async load(graph: GraphBuilder, weights: Weights, device: Device): Promise<GraphRunner> {
    const [runner] = await GraphRunner.loadAll([graph], weights, device);
    return runner;
  }

  /** Compiles several, all or none; throws what {@link createSessions} throws. */
  static async loadAll(graphs: readonly GraphBuilder[], weights: Weights, device: Device): Promise<GraphRunner[]> {
    return (await createSessions(graphs, weights, device)).map((session) => new GraphRunner(session, device));
  }

  /** @param feeds the graph's inputs by name */
  async run(feeds: Readonly<Record<string, DeviceTensor>>): Promise<FloatTensor> {
    const results = await this.#session.run(feeds);
    const result = results[this.#session.outputNames[0]];
    try {
      return await toHost(this.#device, result);
    } finally {
      release(result);
    }
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}
