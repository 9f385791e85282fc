/** From a plan to what the network is conditioned on: text, sizes, guidance. */
import { throwIfAborted } from "../interruption.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { AddedConditions, NetworkConditions } from "../engine/network/unetInputs.js";
import { embedGuidanceScale } from "./guidanceEmbedding.js";
import type { Pipeline } from "./pipeline.js";
import type { SamplingPlan } from "./samplingPlan.js";
import type { TimeIds } from "./sizeConditions.js";
import { timeIdsOf } from "./sizeConditions.js";
import { stack } from "../numerics/tensorRows.js";
import type { EncodedPrompts } from "./textEncoders.js";

/**
 * The conditions of every evaluation of a sampling run, the unconditional half first where guidance is on.
 *
 * @param signal checked before each encoding
 */
export async function conditionsOf(
  pipeline: Pipeline,
  plan: SamplingPlan,
  signal?: AbortSignal,
): Promise<NetworkConditions> {
  const { prompts, negativePrompts, guided, guidanceScale, timeIds } = plan;
  const encode = (texts: readonly string[], clipSkip?: number): Promise<EncodedPrompts> => {
    throwIfAborted(signal, "sampling");
    return pipeline.encodePrompts(texts, clipSkip);
  };
  const positive = await encode(prompts, plan.clipSkip);
  const rows = prompts.length;
  const text = guided
    ? bothHalves(negativePrompts === undefined ? zeros(positive) : await encode(negativePrompts), positive)
    : positive;
  const { time_cond_proj_dim } = pipeline.folder.unet;
  return {
    encoderHiddenStates: text.promptEmbeds,
    addedConditions: addedConditions(text, timeIds, guided ? rows : 0, rows),
    timestepCond: time_cond_proj_dim === null ? undefined : embedGuidanceScale(guidanceScale, time_cond_proj_dim, rows),
  };
}

/** Conditions of empty prompts, for measurements that need some. */
export async function emptyConditions(
  pipeline: Pipeline,
  rows: number,
  latentSize: readonly [height: number, width: number],
): Promise<NetworkConditions> {
  const text = await pipeline.encodePrompts(Array<string>(rows).fill(""));
  const [height, width] = latentSize.map((size) => size * pipeline.vaeScaleFactor);
  const timeIds = pipeline.takesSizeConditions ? timeIdsOf({}, [height, width]) : undefined;
  return { encoderHiddenStates: text.promptEmbeds, addedConditions: addedConditions(text, timeIds, 0, rows) };
}

type Text = Pick<EncodedPrompts, "promptEmbeds" | "pooledPromptEmbeds">;

function addedConditions(
  { pooledPromptEmbeds }: Text,
  timeIds: TimeIds | undefined,
  unconditional: number,
  conditional: number,
): AddedConditions | undefined {
  if (pooledPromptEmbeds === undefined || timeIds === undefined) return undefined;
  const repeat = (ids: readonly number[], rows: number): number[] => Array<readonly number[]>(rows).fill(ids).flat();
  const ids = [...repeat(timeIds.unconditional, unconditional), ...repeat(timeIds.conditional, conditional)];
  return {
    textEmbeds: pooledPromptEmbeds,
    timeIds: { dims: [unconditional + conditional, timeIds.conditional.length], data: Float32Array.from(ids) },
  };
}

function bothHalves(negative: Text, positive: Text): Text {
  const [upper, lower] = [negative.pooledPromptEmbeds, positive.pooledPromptEmbeds];
  return {
    promptEmbeds: stack(negative.promptEmbeds, positive.promptEmbeds),
    pooledPromptEmbeds: upper && lower && stack(upper, lower),
  };
}

/** SDXL's force_zeros_for_empty_prompt */
function zeros({ promptEmbeds, pooledPromptEmbeds }: Text): Text {
  const like = ({ dims, data }: FloatTensor): FloatTensor => ({ dims, data: new Float32Array(data.length) });
  return { promptEmbeds: like(promptEmbeds), pooledPromptEmbeds: pooledPromptEmbeds && like(pooledPromptEmbeds) };
}
