/** What the timed networks are fed: the same numbers for every side, handed over in a safetensors file. */
import type { UNetConfig } from "../src/models/configs/unet.js";
import { openSafetensors, writeSafetensors } from "../src/files/safetensors.js";
import { elementCount } from "../src/numerics/tensor.js";
import type { FloatTensor } from "../src/numerics/tensor.js";
import type { UNetInputs } from "../src/engine/network/unetInputs.js";

/** of every evaluation; the same as in engine_peer.py */
export const TIMESTEP = 601;

export interface InputShape {
  /** latent height and width */
  readonly latentSize: number;
  readonly tokens: number;
}

/** Seeded numbers of unit variance; SDXL's size conditions are those of an uncropped square image. */
export function randomInputs(config: UNetConfig, { latentSize, tokens }: InputShape, batch: number): UNetInputs {
  let state = 7;
  const fill = (dims: readonly number[]): FloatTensor => ({
    dims,
    data: new Float32Array(elementCount(dims)).map(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32 - 0.5) * 3.46;
    }),
  });
  const {
    in_channels,
    cross_attention_dim,
    addition_time_embed_dim: idWidth,
    projection_class_embeddings_input_dim: addedWidth,
  } = config;
  const inputs = {
    sample: fill([batch, in_channels, latentSize, latentSize]),
    timestep: TIMESTEP,
    encoderHiddenStates: fill([batch, tokens, [cross_attention_dim].flat()[0]]),
  };
  if (idWidth === null || addedWidth === null) return inputs;
  const pixels = 8 * latentSize;
  const ids = [pixels, pixels, 0, 0, pixels, pixels];
  const timeIds = {
    dims: [batch, ids.length],
    data: Float32Array.from({ length: batch * ids.length }, (_, index) => ids[index % ids.length]),
  };
  return { ...inputs, addedConditions: { textEmbeds: fill([batch, addedWidth - ids.length * idWidth]), timeIds } };
}

/** Writes them under diffusers' names. */
export async function writeInputs(
  file: string,
  { sample, encoderHiddenStates, addedConditions }: UNetInputs,
): Promise<void> {
  const tensors: Record<string, FloatTensor> = { sample, encoder_hidden_states: encoderHiddenStates };
  if (addedConditions !== undefined)
    Object.assign(tensors, { text_embeds: addedConditions.textEmbeds, time_ids: addedConditions.timeIds });
  await writeSafetensors(
    file,
    new Map(Object.entries(tensors).map(([name, tensor]) => [name, { dtype: "F32", ...tensor }])),
  );
}

/** Reads what {@link writeInputs} wrote. */
export async function readInputs(path: string): Promise<UNetInputs> {
  const file = await openSafetensors(path);
  try {
    const [sample, encoderHiddenStates] = [
      await file.readFloat32("sample"),
      await file.readFloat32("encoder_hidden_states"),
    ];
    const added = file.tensors.has("text_embeds")
      ? { textEmbeds: await file.readFloat32("text_embeds"), timeIds: await file.readFloat32("time_ids") }
      : undefined;
    return { sample, timestep: TIMESTEP, encoderHiddenStates, addedConditions: added };
  } finally {
    await file.close();
  }
}
