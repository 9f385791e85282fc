/** What one evaluation of a UNet reads, checked and laid out for its graphs. */
import { ArgumentError } from "../../errors.js";
import { TIME_INPUTS, embedTimestep } from "../../graphs/timestepEmbedding.js";
import { UNET_INPUTS } from "../../graphs/unet.js";
import type { UNetConfig } from "../../models/configs/unet.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { Device } from "../device.js";
import type { Tensor } from "../tensor.js";
import { upload } from "../transfer.js";

/** The network's inputs besides latents and time. */
export interface NetworkConditions {
  /** text embedding [batch, tokens, width] */
  readonly encoderHiddenStates: FloatTensor;
  /** SDXL's, where addition_embed_type is text_time */
  readonly addedConditions?: AddedConditions;
  /** LCM's embedding of the guidance scale [batch, time_cond_proj_dim]. Default: zeros, which add nothing */
  readonly timestepCond?: FloatTensor;
}

/** diffusers' added_cond_kwargs */
export interface AddedConditions {
  /** pooled text embedding [batch, projection_dim] */
  readonly textEmbeds: FloatTensor;
  /** original size, crop's top left corner, target size: (height, width) each, in pixels [batch, 6] */
  readonly timeIds: FloatTensor;
}

/** What one network evaluation reads. */
export interface UNetInputs extends NetworkConditions {
  /** latents [batch, channels, height, width] */
  readonly sample: FloatTensor;
  /** one for the whole batch */
  readonly timestep: number;
}

/**
 * The values that a network's stages read, by name; the caller must release the tensors.
 *
 * @throws ArgumentError where an input is missing, too many, or not of the network's shape; nothing is uploaded then
 */
export function feedUNet(config: UNetConfig, inputs: UNetInputs, device: Device): Map<string, Tensor> {
  const { sample, timestep, encoderHiddenStates } = inputs;
  const [batch] = sample.dims;
  requireDims("sample", sample, [batch, config.in_channels, "height", "width"]);
  requireDims("encoder_hidden_states", encoderHiddenStates, [
    batch,
    "tokens",
    contextWidth(config, encoderHiddenStates),
  ]);
  const width = config.block_out_channels[0];
  const feeds = new Map<string, FloatTensor>([
    [UNET_INPUTS.sample, sample],
    [TIME_INPUTS.timestepEmbedding, { dims: [1, width], data: embedTimestep(config, width, timestep) }],
    ...feedTimestepCond(config, inputs, batch),
    ...feedAdded(config, inputs, batch),
  ]);
  const context = [UNET_INPUTS.encoderHiddenStates, upload(device, encoderHiddenStates, device.precision)] as const;
  return new Map([context, ...Array.from(feeds, ([name, each]) => [name, upload(device, each)] as const)]);
}

type Feed = readonly [name: string, numbers: FloatTensor];

function feedTimestepCond(
  { time_cond_proj_dim: width }: UNetConfig,
  { timestepCond }: UNetInputs,
  batch: number,
): readonly Feed[] {
  if (width === null) {
    if (timestepCond !== undefined)
      throw new ArgumentError("timestep_cond: the network takes none (its time_cond_proj_dim is null)");
    return [];
  }
  if (timestepCond !== undefined) requireDims("timestep_cond", timestepCond, [batch, width]);
  return [[TIME_INPUTS.timestepCond, timestepCond ?? { dims: [batch, width], data: new Float32Array(batch * width) }]];
}

function feedAdded(config: UNetConfig, { addedConditions }: UNetInputs, batch: number): readonly Feed[] {
  const { addition_embed_type, addition_time_embed_dim: width, projection_class_embeddings_input_dim: total } = config;
  if (addition_embed_type !== "text_time" || width === null || total === null) {
    if (addedConditions !== undefined)
      throw new ArgumentError("text_embeds, time_ids: the network takes none (its addition_embed_type is null)");
    return [];
  }
  if (addedConditions === undefined)
    throw new ArgumentError(
      'text_embeds, time_ids: expected both, as the network\'s addition_embed_type is "text_time", found neither',
    );
  const { textEmbeds, timeIds } = addedConditions;
  requireDims("time_ids", timeIds, [batch, "ids"]);
  const ids = timeIds.dims[1];
  requireDims("text_embeds", textEmbeds, [batch, total - ids * width]);
  const joined = new Float32Array(batch * total);
  const textWidth = textEmbeds.dims[1];
  for (let row = 0; row < batch; row++) {
    joined.set(textEmbeds.data.subarray(row * textWidth, (row + 1) * textWidth), row * total);
    for (let index = 0; index < ids; index++)
      joined.set(
        embedTimestep(config, width, timeIds.data[row * ids + index]),
        row * total + textWidth + index * width,
      );
  }
  return [[TIME_INPUTS.addedConditions, { dims: [batch, total], data: joined }]];
}

/** Levels may have widths of their own, but all that attend to the text have its width. */
function contextWidth({ cross_attention_dim }: UNetConfig, { dims }: FloatTensor): number {
  const widths = [cross_attention_dim].flat();
  return widths.find((width) => width === dims[2]) ?? widths[0];
}

/** A number is a size that must be met, a name stands for any. */
function requireDims(name: string, { dims }: FloatTensor, expected: readonly (number | string)[]): void {
  if (
    dims.length !== expected.length ||
    expected.some((size, axis) => typeof size === "number" && size !== dims[axis])
  ) {
    throw new ArgumentError(`${name}: expected [${expected.join(", ")}], found [${dims.join(", ")}]`);
  }
}
