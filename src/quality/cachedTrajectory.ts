/** How the error of a cached run grows compared with the plain run: step by step, and block by block. */
import type { CachedRun } from "../caching/run/cachedRun.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { sample } from "../diffusion/sample.js";
import { watchStandIn } from "../engine/network/observer.js";
import type { Evaluation } from "../engine/network/observer.js";
import type { SamplingHook } from "../diffusion/samplingHook.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { Device } from "../engine/device.js";
import { download } from "../engine/transfer.js";
import { relativeDistances } from "./distance.js";

export interface TrajectoryErrors {
  /** relative L2 of the latents after each step, to the plain run's: [images][steps] */
  readonly latents: readonly (readonly number[])[];
  /**
   * block id → relative L2 of the C that the cached run used, computed or standing in, to the plain run's C,
   * both guidance halves together: [images][evaluations]
   */
  readonly blocks: Readonly<Record<string, readonly (readonly number[])[]>>;
}

/**
 * Samples plain and cached from the same noise, one step of each in turn, so that only one step's branches are in
 * memory at a time. Every computed block is looked at, so that blocks also run here whose results only a reused part of
 * the network would read; an ordinary cached run leaves these out.
 *
 * @param options as for `sample`, but the hooks are this function's own
 * @throws ArgumentError where the schedule does not fit
 */
export async function cachedTrajectory(
  pipeline: Pipeline,
  options: Omit<SampleOptions, "hooks">,
  cached: CachedRun,
): Promise<TrajectoryErrors> {
  const latents: number[][] = [];
  const blocks: Record<string, number[][]> = {};
  let plainBranches = new Map<string, FloatTensor>();
  const { device } = pipeline;
  const compare = (id: string, { index, images }: Evaluation, used: FloatTensor): void => {
    const plain = plainBranches.get(`${id} ${index}`);
    if (plain === undefined) throw new TypeError(`${id}: the plain run did not compute it at evaluation ${index}`);
    push((blocks[id] ??= []), relativeDistances(used, plain, images));
  };
  const keepBranches = lookAtBranches(device, (id, { index }, branch) => plainBranches.set(`${id} ${index}`, branch));
  const compareComputed = lookAtBranches(device, compare);
  const compareReused: SamplingHook = {
    ...cached,
    answer: (block, evaluation) =>
      watchStandIn(cached.answer(block, evaluation), async (made) => {
        using used = await pipeline.network.standInValue(block, made);
        compare(block.id, evaluation, await download(device, used));
      }),
  };
  const cachedSteps = sample(pipeline, { ...options, hooks: [compareReused, compareComputed] });
  try {
    for await (const plain of sample(pipeline, { ...options, hooks: [keepBranches] })) {
      const { value } = await cachedSteps.next();
      if (value === undefined) throw new TypeError("the cached run has fewer steps than the plain one");
      push(latents, relativeDistances(value.latents, plain.latents));
      plainBranches = new Map();
    }
  } finally {
    await cachedSteps.return(undefined);
  }
  return { latents, blocks };
}

function lookAtBranches(
  device: Device,
  look: (id: string, evaluation: Evaluation, branch: FloatTensor) => void,
): SamplingHook {
  return {
    answer: () => ({ look: ["branch"] }),
    async look({ id }, { branch }, evaluation) {
      if (branch !== undefined) look(id, evaluation, await download(device, branch));
      return undefined;
    },
  };
}

/** Adds a value to each image's list. */
function push(lists: number[][], values: readonly number[]): void {
  values.forEach((value, image) => (lists[image] ??= []).push(value));
}
