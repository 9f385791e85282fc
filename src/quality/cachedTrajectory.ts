/** How the error of a cached run grows: from step to step, and block by block, beside the plain run. */
import type { CachedRun } from "../caching/run/cachedRun.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { sample } from "../diffusion/sample.js";
import type { SampleOptions, SamplingHook } from "../diffusion/samplingPlan.js";
import type { FloatTensor } from "../numerics/tensor.js";
import type { DeviceTensor } from "../engine/session.js";
import { toHost } from "../engine/transfer.js";
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
 * Samples plain and cached from the same noise, a step of each in turn, so that one step's branches are held in
 * memory at a time. Every computed block is looked at; those that only a reused part of the network would
 * have read run here too, and a cached run alone leaves them out.
 *
 * @param options as of `sample`; its hooks are the two runs' own
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
  const compare = async (id: string, evaluation: number, images: number, tensor: DeviceTensor): Promise<void> => {
    const plain = plainBranches.get(`${id} ${evaluation}`);
    if (plain === undefined) throw new TypeError(`${id}: the plain run did not compute it at evaluation ${evaluation}`);
    push((blocks[id] ??= []), relativeDistances(await toHost(pipeline.device, tensor), plain, images));
  };
  const keepBranches = lookAtBranches(
    async (id, { index }, branch) => void plainBranches.set(`${id} ${index}`, await toHost(pipeline.device, branch)),
  );
  const compareComputed = lookAtBranches((id, { index, images }, branch) => compare(id, index, images, branch));
  const compareReused: SamplingHook = {
    ...cached,
    async standIn(block, evaluation, input) {
      const branch = await cached.standIn?.(block, evaluation, input);
      if (branch === undefined) throw new TypeError(`${block.id}: no stand-in`);
      await compare(block.id, evaluation.index, evaluation.images, branch);
      return branch;
    },
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
  look: (id: string, evaluation: { index: number; images: number }, branch: DeviceTensor) => Promise<void>,
): SamplingHook {
  return {
    wants: () => ({ branch: true, out: false }),
    async computed({ id }, { branch }, evaluation) {
      await look(id, evaluation, branch);
      return undefined;
    },
  };
}

/** Adds a value to each image's list. */
function push(lists: number[][], values: readonly number[]): void {
  values.forEach((value, image) => (lists[image] ??= []).push(value));
}
