import { clipEmbeddingsGraph, clipLayerGraph, clipNormGraph, clipProjectionGraph } from "../graphs/clipText.js";
import type { ClipText } from "../graphs/clipText.js";
import type { ClipTextConfig } from "../models/configs/clipText.js";
import type { Weights } from "../models/weights.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Device } from "./device.js";
import type { CompiledGraph } from "./backend.js";
import { compileAll } from "./graphRunner.js";
import { releaseAll } from "./tensor.js";
import type { Tensor } from "./tensor.js";
import { download } from "./transfer.js";

export interface EncodedText {
  /** [prompts, tokens, width] float32 */
  readonly hiddenStates: FloatTensor;
  /** [prompts, projection_dim] float32; present where the encoder has a projection */
  readonly pooled?: FloatTensor;
}

export interface EncodeTextOptions {
  /** layers at the end whose work is left out of the hidden states, 0 to num_hidden_layers */
  readonly skippedLayers: number;
  /** final_layer_norm over the hidden states */
  readonly normed: boolean;
}

/** A CLIP text encoder ready to run, with one graph per layer, so that any layer's hidden states can be read. */
export class ClipTextEncoder {
  readonly #device: Device;
  readonly #tokens: number;
  readonly #embeddings: CompiledGraph;
  readonly #layers: readonly CompiledGraph[];
  readonly #norm: CompiledGraph;
  readonly #projection: CompiledGraph | undefined;

  private constructor(
    device: Device,
    tokens: number,
    [embeddings, norm, ...layers]: readonly CompiledGraph[],
    projection?: CompiledGraph,
  ) {
    this.#device = device;
    this.#tokens = tokens;
    this.#embeddings = embeddings;
    this.#norm = norm;
    this.#layers = layers;
    this.#projection = projection;
  }

  /**
   * Compiles every layer; one layer's weights are in JavaScript's memory at a time.
   *
   * @param tokens of a prompt
   * @param projects a CLIPTextModelWithProjection
   * @throws what {@link compileAll} throws
   */
  static async load(
    config: ClipTextConfig,
    tokens: number,
    projects: boolean,
    weights: Weights,
    device: Device,
  ): Promise<ClipTextEncoder> {
    // CLIPTextModel kept its layers under `text_model.` until transformers 5.
    const prefix = weights.names().some((name) => name.startsWith("text_model.")) ? "text_model." : "";
    const clip: ClipText = { config, tokens, prefix };
    const graphs = [clipEmbeddingsGraph(clip, device), clipNormGraph(clip, device)];
    for (let layer = 0; layer < config.num_hidden_layers; layer++) graphs.push(clipLayerGraph(clip, layer, device));
    const layered = graphs.length;
    if (projects && typeof config.eos_token_id === "number")
      graphs.push(clipProjectionGraph(clip, config.eos_token_id, device));
    const compiled = await compileAll(graphs, weights, device);
    return new ClipTextEncoder(device, tokens, compiled.slice(0, layered), compiled[layered]);
  }

  /** input ids [prompts · tokens] → hidden states, and the pooled embedding of the last layer */
  async encode(inputIds: Int32Array, { skippedLayers, normed }: EncodeTextOptions): Promise<EncodedText> {
    const dims = [inputIds.length / this.#tokens, this.#tokens];
    const ids = this.#device.backend.upload({ type: "int32", dims, data: inputIds });
    const kept = this.#layers.length - skippedLayers;
    const needed = this.#layers.slice(0, this.#projection === undefined ? kept : undefined);
    const made: Tensor[] = [ids];
    const run = async (graph: CompiledGraph, feeds: Record<string, Tensor>): Promise<Tensor> => {
      const [y] = await graph.run(feeds, ["y"]);
      made.push(y);
      return y;
    };
    try {
      const states = [await run(this.#embeddings, { x: ids })];
      for (const [index, layer] of needed.entries()) states.push(await run(layer, { x: states[index] }));
      const hiddenStates = await download(
        this.#device,
        normed ? await run(this.#norm, { x: states[kept] }) : states[kept],
      );
      if (this.#projection === undefined) return { hiddenStates };
      const normalised = await run(this.#norm, { x: states[states.length - 1] });
      const pooled = await run(this.#projection, { x: normalised, input_ids: ids });
      return { hiddenStates, pooled: await download(this.#device, pooled) };
    } finally {
      releaseAll(made);
    }
  }

  dispose(): void {
    for (const graph of [this.#embeddings, this.#norm, ...this.#layers, this.#projection]) graph?.release();
  }
}
