import * as ort from "onnxruntime-node";
import { clipEmbeddingsGraph, clipLayerGraph, clipNormGraph, clipProjectionGraph } from "../graphs/clipText.js";
import type { ClipText } from "../graphs/clipText.js";
import type { ClipTextConfig } from "../models/configs/clipText.js";
import type { Weights } from "../models/weights.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Device } from "./device.js";
import { release } from "./ownership.js";
import { createSessions } from "./session.js";
import type { DeviceTensor } from "./session.js";
import { toHost } from "./transfer.js";

export interface EncodedText {
  /** [prompts, tokens, width] float32 */
  readonly hiddenStates: FloatTensor;
  /** [prompts, projection_dim] float32; there where the encoder has a projection */
  readonly pooled?: FloatTensor;
}

export interface EncodeTextOptions {
  /** layers at the end whose work is left out of the hidden states, 0 to num_hidden_layers */
  readonly skippedLayers: number;
  /** final_layer_norm over the hidden states */
  readonly normed: boolean;
}

/** A CLIP text encoder ready to run, one session a layer: any layer's hidden states can be had. */
export class ClipTextEncoder {
  readonly #device: Device;
  readonly #tokens: number;
  readonly #embeddings: ort.InferenceSession;
  readonly #layers: readonly ort.InferenceSession[];
  readonly #norm: ort.InferenceSession;
  readonly #projection: ort.InferenceSession | undefined;

  private constructor(
    device: Device,
    tokens: number,
    [embeddings, norm, ...layers]: readonly ort.InferenceSession[],
    projection?: ort.InferenceSession,
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
   * @throws what {@link createSessions} throws
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
    const sessions = await createSessions(graphs, weights, device);
    return new ClipTextEncoder(device, tokens, sessions.slice(0, layered), sessions[layered]);
  }

  /** input ids [prompts · tokens] → hidden states, and the pooled embedding of the last layer */
  async encode(inputIds: Int32Array, { skippedLayers, normed }: EncodeTextOptions): Promise<EncodedText> {
    const ids = new ort.Tensor("int32", inputIds, [inputIds.length / this.#tokens, this.#tokens]);
    const kept = this.#layers.length - skippedLayers;
    const needed = this.#layers.slice(0, this.#projection === undefined ? kept : undefined);
    const made: DeviceTensor[] = [];
    const run = async (session: ort.InferenceSession, feeds: Record<string, DeviceTensor>): Promise<DeviceTensor> => {
      const { y } = await session.run(feeds);
      made.push(y);
      return y;
    };
    try {
      const states = [await run(this.#embeddings, { x: ids })];
      for (const [index, layer] of needed.entries()) states.push(await run(layer, { x: states[index] }));
      const hiddenStates = await toHost(
        this.#device,
        normed ? await run(this.#norm, { x: states[kept] }) : states[kept],
      );
      if (this.#projection === undefined) return { hiddenStates };
      const normalised = await run(this.#norm, { x: states[states.length - 1] });
      return {
        hiddenStates,
        pooled: await toHost(this.#device, await run(this.#projection, { x: normalised, input_ids: ids })),
      };
    } finally {
      made.forEach(release);
    }
  }

  async dispose(): Promise<void> {
    for (const session of [this.#embeddings, this.#norm, ...this.#layers, this.#projection]) await session?.release();
  }
}
