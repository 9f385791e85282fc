import type { Device } from "../../engine/device.js";
import { GraphRunner } from "../../engine/graphRunner.js";
import { upload } from "../../engine/transfer.js";
import type { GraphBuilder } from "../../graphs/graphBuilder.js";
import type { Weights } from "../../models/weights.js";
import type { FloatTensor } from "../../numerics/tensor.js";

/** Graphs `x` → `y` that run one after the other: all that features need from the engine. */
export class GraphChain {
  readonly #runners: readonly GraphRunner[];
  readonly #device: Device;

  private constructor(runners: readonly GraphRunner[], device: Device) {
    this.#runners = runners;
    this.#device = device;
  }

  /** Compiles the graphs, all or none. Throws InvalidFileError for weights that do not fit. */
  static async load(graphs: readonly GraphBuilder[], weights: Weights, device: Device): Promise<GraphChain> {
    return new GraphChain(await GraphRunner.loadAll(graphs, weights, device), device);
  }

  async run(x: FloatTensor): Promise<FloatTensor> {
    let value = x;
    for (const runner of this.#runners)
      value = await runner.run({ x: upload(this.#device, value, this.#device.precision) });
    return value;
  }

  dispose(): void {
    for (const runner of this.#runners) runner.dispose();
  }
}
