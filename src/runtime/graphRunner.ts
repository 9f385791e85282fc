import type * as ort from "onnxruntime-node";
import type { GraphBuilder } from "../graphs/graphBuilder.js";
import type { Weights } from "../models/weights.js";
import type { FloatTensor } from "../models/tensor.js";
import type { Device } from "./device.js";
import { createSession } from "./session.js";
import type { DeviceTensor } from "./session.js";
import { toHost } from "./transfer.js";

/** A network that runs as one session, once or twice an image: the text encoder, the autoencoder's two halves. */
export class GraphRunner {
  readonly #session: ort.InferenceSession;
  readonly #device: Device;

  private constructor(session: ort.InferenceSession, device: Device) {
    this.#session = session;
    this.#device = device;
  }

  static async load(graph: GraphBuilder, weights: Weights, device: Device): Promise<GraphRunner> {
    return new GraphRunner(await createSession(await graph.encode(weights), device), device);
  }

  /** Runs the graph; its only result comes back in host memory. */
  async run(input: string, tensor: DeviceTensor): Promise<FloatTensor> {
    const results = await this.#session.run({ [input]: tensor });
    const result = results[this.#session.outputNames[0]];
    const host = await toHost(this.#device, result);
    if (result.location !== "cpu") result.dispose();
    return host;
  }

  async dispose(): Promise<void> {
    await this.#session.release();
  }
}
