import type { GraphBuilder } from "../graphs/graphBuilder.js";
import type { Weights } from "../models/weights.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { CompiledGraph } from "./backend.js";
import type { Device } from "./device.js";
import type { Tensor } from "./tensor.js";
import { download } from "./transfer.js";

/**
 * Compiles graphs one after the other; one graph's weights are in JavaScript's memory at a time. Where one fails,
 * those before it are released.
 *
 * @throws InvalidFileError for weights that are missing, of another shape or not finite; DeviceError
 */
export async function compileAll(
  graphs: readonly GraphBuilder[],
  weights: Weights,
  { backend }: Device,
): Promise<CompiledGraph[]> {
  const compiled: CompiledGraph[] = [];
  try {
    for (const graph of graphs) compiled.push(await backend.compile(await graph.encode(weights)));
    return compiled;
  } catch (error) {
    for (const graph of compiled) graph.release();
    throw error;
  }
}

/** A graph with one result that JavaScript reads: the autoencoder's two halves, and the steps of the banded decoder. */
export class GraphRunner {
  readonly #graph: CompiledGraph;
  readonly #device: Device;

  private constructor(graph: CompiledGraph, device: Device) {
    this.#graph = graph;
    this.#device = device;
  }

  /** Compiles a graph; throws what {@link compileAll} throws. */
  static async load(graph: GraphBuilder, weights: Weights, device: Device): Promise<GraphRunner> {
    const [runner] = await GraphRunner.loadAll([graph], weights, device);
    return runner;
  }

  /** Compiles several, all or none; throws what {@link compileAll} throws. */
  static async loadAll(graphs: readonly GraphBuilder[], weights: Weights, device: Device): Promise<GraphRunner[]> {
    return (await compileAll(graphs, weights, device)).map((graph) => new GraphRunner(graph, device));
  }

  /** @param feeds the graph's inputs by name; this call releases them */
  async run(feeds: Readonly<Record<string, Tensor>>): Promise<FloatTensor> {
    try {
      const [result] = await this.#graph.run(feeds, this.#graph.outputs, { toHost: true });
      using read = result;
      return await download(this.#device, read);
    } finally {
      for (const tensor of Object.values(feeds)) tensor.release();
    }
  }

  dispose(): void {
    this.#graph.release();
  }
}
