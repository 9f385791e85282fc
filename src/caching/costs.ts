/** What a block's computing and reusing cost on this machine, as measured. */
import { ArgumentError, InterruptedError } from "../errors.js";
import { emptyConditions } from "../diffusion/conditioning.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { Block } from "../graphs/block.js";
import { hasMerge } from "../graphs/block.js";
import type { FloatTensor } from "../models/tensor.js";
import { elementCount } from "../models/tensor.js";
import type { BlockObserver } from "../runtime/observer.js";
import { release, retain } from "../runtime/ownership.js";
import type { DeviceTensor } from "../runtime/session.js";
import { networkOutline } from "./networkOutline.js";
import type { NetworkOutline } from "./networkOutline.js";
import { weightedSum } from "./weightedSum.js";

/** block id → seconds of each sample */
export type BlockSeconds = Readonly<Record<string, Float64Array>>;

/** Seconds of each block, raw; costs of one setting cannot stand for another's. */
export interface Costs {
  readonly setting: {
    readonly fingerprint: string;
    readonly device: string;
    /** absent: the runtime's choice */
    readonly threads?: number;
    /** rows of a network evaluation: twice the images with guidance */
    readonly rows: number;
    readonly latent_size: readonly [height: number, width: number];
  };
  /** its branch and merge run */
  readonly compute: BlockSeconds;
  /** as compute, and C is fetched and kept; absent in files of older versions */
  readonly keep?: BlockSeconds;
  /** the merge alone, C given */
  readonly reuse: BlockSeconds;
  /** the weighted sum of two and of three kept values; absent in files of older versions */
  readonly sum2?: BlockSeconds;
  readonly sum3?: BlockSeconds;
  /** seconds of everything else in an evaluation: time embedding, concatenation, the calls themselves */
  readonly rest: Float64Array;
  /** seconds of encoding the prompts, once a sampling; absent in files of older versions */
  readonly text?: Float64Array;
  /** what reads what, so that what nothing reads is not counted; absent in files of older versions */
  readonly network?: NetworkOutline;
}

/** The groups of Costs that hold seconds of each block. */
export const COST_GROUPS = ["compute", "keep", "reuse", "sum2", "sum3"] as const;
export type CostGroup = (typeof COST_GROUPS)[number];

export interface MeasureCostsOptions {
  /** rows of a network evaluation. Default: 2, one image with guidance */
  readonly rows?: number;
  /** evaluations timed of each kind. Default: 9 */
  readonly samples?: number;
  readonly latentSize?: readonly [height: number, width: number];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Not counted: the first evaluations compile merge sessions and plan memory. */
const WARM_UP = 2;

/**
 * Times evaluations that compute everything, that also keep every C, and that reuse every block with one,
 * two and three kept values, in turn: a slow spell of the machine falls on all of them.
 */
export async function measureCosts(pipeline: Pipeline, options: MeasureCostsOptions = {}): Promise<Costs> {
  const { rows = 2, samples = 9, latentSize = pipeline.defaultLatentSize, signal, onProgress } = options;
  for (const [name, value] of [["rows", rows], ["samples", samples]] as const) {
    if (!Number.isInteger(value) || value < 1) throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  }
  const { network, device } = pipeline;
  const prompts = Array<string>(rows).fill("");
  const conditions = await emptyConditions(pipeline, rows, latentSize);
  const sample = patterned([rows, pipeline.folder.unet.in_channels, ...latentSize]);
  const branches = new Map<string, DeviceTensor>();
  const seconds = collectors(network.blocks, samples);
  const rest = new Float64Array(samples);
  const text = new Float64Array(samples);

  const evaluate = async (group: "compute" | "keep" | "reuse", turn: number): Promise<void> => {
    if (signal?.aborted) throw new InterruptedError("measuring costs was interrupted");
    let inBlocks = 0;
    const started = performance.now();
    await network.forward(
      { sample, timestep: 500, ...conditions },
      {
        observer: group === "compute" ? undefined : observers(branches)[group],
        evaluation: { index: 0, timestep: 500, images: rows, guided: false },
        signal,
        onStageTime: (id, elapsed) => {
          if (!(id in seconds[group]) || turn < 0) return;
          seconds[group][id][turn] = elapsed;
          inBlocks += elapsed;
        },
      },
    );
    if (group === "compute" && turn >= 0) rest[turn] = Math.max(0, (performance.now() - started) / 1000 - inBlocks);
  };
  const timed = async (work: () => Promise<unknown>, into: Float64Array, turn: number): Promise<void> => {
    const started = performance.now();
    await work();
    if (turn >= 0) into[turn] = (performance.now() - started) / 1000;
  };
  try {
    for (let turn = -WARM_UP; turn < samples; turn++) {
      await timed(() => pipeline.encodePrompts(prompts), text, turn);
      await evaluate("compute", turn);
      await evaluate("keep", turn);
      await evaluate("reuse", turn);
      for (const [id, branch] of branches) {
        for (const [group, weights] of [["sum2", [2, -1]], ["sum3", [3, -3, 1]]] as const) {
          await timed(async () => release(await weightedSum(device, weights.map(() => branch), weights)), seconds[group][id], turn);
        }
      }
      onProgress?.(turn + 1 + WARM_UP, samples + WARM_UP);
    }
  } finally {
    for (const branch of branches.values()) release(branch);
  }
  for (const block of network.blocks) if (!hasMerge(block)) seconds.reuse[block.id].fill(0);
  const { name, threads } = device;
  return {
    setting: { fingerprint: await pipeline.fingerprint(), device: name, ...(threads === undefined ? {} : { threads }), rows, latent_size: [latentSize[0], latentSize[1]] },
    ...seconds,
    rest,
    text,
    network: networkOutline(pipeline, latentSize),
  };
}

/** One keeps every C in place of the last one; the other reuses them. */
function observers(branches: Map<string, DeviceTensor>): Record<"keep" | "reuse", BlockObserver> {
  return {
    keep: {
      wants: () => ({ branch: true, out: false }),
      async computed({ id }, { branch }) {
        const before = branches.get(id);
        if (before) release(before);
        branches.set(id, retain(branch));
        return undefined;
      },
    },
    reuse: {
      wants: () => ({ branch: false, out: false }),
      // A reused sampler would leave nothing to run before it; its own reuse is free.
      standsIn: (block) => hasMerge(block),
      async standIn({ id }) {
        const branch = branches.get(id);
        if (branch === undefined) throw new TypeError(`${id}: no branch was kept`);
        return branch;
      },
      computed: async () => undefined,
    },
  };
}

function collectors(blocks: readonly Block[], samples: number): Record<CostGroup, Record<string, Float64Array>> {
  const collector = (): Record<string, Float64Array> => Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(samples)]));
  return { compute: collector(), keep: collector(), reuse: collector(), sum2: collector(), sum3: collector() };
}

/** Numbers of ordinary size; their values do not change what a block costs. */
function patterned(dims: readonly number[]): FloatTensor {
  return { dims, data: Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index)) };
}
