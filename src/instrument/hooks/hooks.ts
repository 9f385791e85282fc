import type { Pipeline } from "../../diffusion/pipeline.js";
import type { SamplingHook } from "../../diffusion/samplingPlan.js";
import type { Block, BlockKind } from "../../graphs/block.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { BlockResult, Evaluation } from "../../engine/network/observer.js";
import { fromHost, precisionOf, toHost } from "../../engine/transfer.js";
import { selectBlocks } from "./blockSelection.js";

/** What a hook is told: a block's results at one network evaluation, in host memory. */
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

/** What takes the place of a block's results; absent parts stay as computed. */
export interface HookReplacement {
  /** stands in for C: the residual is added anew */
  readonly branch?: FloatTensor;
  readonly out?: FloatTensor;
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
 * @throws ArgumentError when sampling starts, where the pattern names no block of the model
 */
export function hook(
  pattern: string,
  callback: (event: HookEvent) => HookReplacement | undefined | void | Promise<HookReplacement | undefined | void>,
  options: HookOptions = {},
): SamplingHook {
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
      const wanted = ids.has(block.id) && (options.steps?.includes(evaluation.index) ?? true);
      return { branch: wanted, out: wanted };
    },
    async computed(block: Block, result: BlockResult, { index, timestep, images, guided }: Evaluation) {
      if (pipeline === undefined) return undefined;
      const { device } = pipeline;
      const branch = await toHost(device, result.branch);
      const out = result.out === result.branch ? branch : await toHost(device, result.out);
      const replacement = await callback({
        id: block.id,
        kind: block.kind,
        step: index,
        timestep,
        images,
        guided,
        branch,
        out,
      });
      if (!replacement) return undefined;
      const precision = precisionOf(result.branch);
      const upload = (tensor: FloatTensor | undefined) =>
        tensor === undefined ? undefined : fromHost(tensor, precision);
      return { branch: upload(replacement.branch), out: upload(replacement.out) };
    },
  };
}
