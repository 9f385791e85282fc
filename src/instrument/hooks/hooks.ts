import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { Device } from "../../engine/device.js";
import type { ResultName } from "../../engine/network/observer.js";
import type { Tensor } from "../../engine/tensor.js";
import { download, precisionOf, upload } from "../../engine/transfer.js";
import { ArgumentError } from "../../errors.js";
import type { BlockKind } from "../../graphs/block.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { selectBlocks } from "./blockSelection.js";
import { hookReplacement } from "./hookResult.js";
import type { HookReplacement } from "./hookResult.js";

/** Where a hook is called: a block at one network evaluation. */
export interface HookedBlock {
  /** diffusers module path */
  readonly id: string;
  readonly kind: BlockKind;
  /** network evaluation, 0-based in sampling order */
  readonly step: number;
  readonly timestep: number;
  /** images of the batch; with guidance, rows 0…images−1 are the unconditional half */
  readonly images: number;
  readonly guided: boolean;
}

/**
 * What a hook is given: where it is called, and the results that it asked for, copied into JavaScript's memory, so that
 * it may keep them: `branch`, C before the residual: [rows, channels, height, width], [rows, tokens, width] inside a
 * transformer; and `out`, the block's output, of the same shape.
 */
export type HookEvent<Wanted extends ResultName = ResultName> = HookedBlock & Readonly<Record<Wanted, FloatTensor>>;

export interface HookOptions<Wanted extends ResultName = ResultName> {
  /** network evaluations at which the hook is called. Default: all */
  readonly steps?: readonly number[];
  /** which results the hook is shown; others are not fetched. Default: both */
  readonly results?: readonly Wanted[];
}

const RESULTS: readonly ResultName[] = ["branch", "out"];

type Reply = HookReplacement | undefined | void;

/**
 * Calls `callback` with C and the output of every block that `pattern` names, at each evaluation;
 * what it returns takes their place.
 *
 * @param pattern a diffusers module path; `*` within a segment, `**` across, or `all`
 * @throws ArgumentError for results that do not exist; when sampling starts, where the pattern names no block of the
 *   model
 * or a step is not among its evaluations; during sampling, where the callback returns anything but tensors of the
 * block's shape; NotFiniteError where they hold NaN
 */
export function hook<Wanted extends ResultName = ResultName>(
  pattern: string,
  callback: (event: HookEvent<Wanted>) => Reply | Promise<Reply>,
  options: HookOptions<Wanted> = {},
): SamplingHook {
  const wanted: readonly ResultName[] = options.results === undefined ? RESULTS : [...options.results];
  const unknown = wanted.find((name) => !RESULTS.includes(name));
  if (unknown !== undefined)
    throw new ArgumentError(`hook: results: expected ${RESULTS.join(" or ")}, found ${JSON.stringify(unknown)}`);
  const steps = options.steps && [...options.steps];
  let ids: ReadonlySet<string> = new Set();
  let device: Device | undefined;
  return {
    async begin({ network }, evaluations) {
      const count = evaluations?.solver.timesteps.length ?? 1;
      const missed = steps?.find((step) => !(Number.isInteger(step) && step >= 0 && step < count));
      if (missed !== undefined)
        throw new ArgumentError(
          `hook: steps: expected network evaluations from 0 to ${count - 1}, found ${missed} — the sampling has ${count}`,
        );
      const selected = selectBlocks(network.unet, pattern);
      ids = new Set(selected.map(({ block }) => block.id));
      device = network.device;
      return selected.flatMap(({ inside }) => inside ?? []);
    },
    answer({ id }, { index }) {
      return ids.has(id) && (steps?.includes(index) ?? true) ? { look: wanted } : "compute";
    },
    async look({ id, kind }, shown, { index, timestep, images, guided }) {
      if (device === undefined) return undefined;
      const where: HookedBlock = { id, kind, step: index, timestep, images, guided };
      const results: Partial<Record<ResultName, FloatTensor>> = {};
      let tensor: Tensor | undefined;
      for (const name of wanted) {
        tensor = shown[name] ?? tensor;
        if (shown[name] !== undefined) results[name] = await download(device, shown[name]);
      }
      if (tensor === undefined) return undefined;
      const { branch, out } = hookReplacement(
        await callback({ ...where, ...results } as HookEvent<Wanted>),
        where,
        tensor.dims,
      );
      const precision = precisionOf(tensor);
      return { branch: branch && upload(device, branch, precision), out: out && upload(device, out, precision) };
    },
  };
}
