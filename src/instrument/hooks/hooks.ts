import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingPlan.js";
import type { Block, BlockKind } from "../../graphs/block.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { BlockResult, Evaluation } from "../../engine/network/observer.js";
import type { DeviceTensor } from "../../engine/session.js";
import { fromHost, precisionOf, toHost } from "../../engine/transfer.js";
import { selectBlocks } from "./blockSelection.js";
import { hookReplacement } from "./hookResult.js";
import type { HookReplacement } from "./hookResult.js";

/**
 * What a hook is told: a block's results at one network evaluation, in host memory. They are copies: what is written
 * into them changes nothing but what the hook returns.
 */
export interface HookEvent {
  /** diffusers module path */
  readonly id: string;
  readonly kind: BlockKind;
  /** network evaluation, 0-based in sampling order */
  readonly step: number;
  readonly timestep: number;
  /** images of the batch; with guidance, rows 0…images−1 are the unconditional half */
  readonly images: number;
  readonly guided: boolean;
  /** C, before the residual: [rows, channels, height, width], [rows, tokens, width] inside a transformer */
  readonly branch: FloatTensor;
  /** the block's output, of the same shape */
  readonly out: FloatTensor;
}

export interface HookOptions {
  /** network evaluations at which the hook is called. Default: all */
  readonly steps?: readonly number[];
}

/**
 * Calls `callback` with C and the output of every block that `pattern` names, at each evaluation;
 * what it returns takes their place.
 *
 * @param pattern a diffusers module path; `*` within a segment, `**` across, or `all`
 * @throws ArgumentError when sampling starts, where the pattern names no block of the model; during sampling, where the
 *   callback returns anything else than tensors of the block's shape; NotFiniteError where they hold NaN
 */
export function hook(
  pattern: string,
  callback: (event: HookEvent) => HookReplacement | undefined | void | Promise<HookReplacement | undefined | void>,
  options: HookOptions = {},
): SamplingHook {
  const steps = options.steps && [...options.steps];
  let ids: ReadonlySet<string> = new Set();
  let pipeline: Pipeline | undefined;
  return {
    inParts(sampled) {
      pipeline = sampled;
      const selected = selectBlocks(sampled.network.unet, pattern);
      ids = new Set(selected.map(({ block }) => block.id));
      return selected.flatMap(({ inside }) => inside ?? []);
    },
    wants(block, evaluation) {
      const wanted = ids.has(block.id) && (steps?.includes(evaluation.index) ?? true);
      return { branch: wanted, out: wanted };
    },
    async computed(block: Block, result: BlockResult, { index, timestep, images, guided }: Evaluation) {
      if (pipeline === undefined) return undefined;
      const { device } = pipeline;
      const shown = async (tensor: DeviceTensor): Promise<FloatTensor> => {
        const { dims, data } = await toHost(device, tensor);
        return { dims: [...dims], data: data.slice() };
      };
      const event = { id: block.id, kind: block.kind, step: index, timestep, images, guided };
      const given = await callback({ ...event, branch: await shown(result.branch), out: await shown(result.out) });
      const replacement = hookReplacement(given, event, result.branch.dims);
      const precision = precisionOf(result.branch);
      const upload = (tensor: FloatTensor | undefined) =>
        tensor === undefined ? undefined : fromHost(tensor, precision);
      return { branch: upload(replacement.branch), out: upload(replacement.out) };
    },
  };
}
