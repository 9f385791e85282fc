/** What computing and reusing each block costs on this machine, as measured. */
import { ArgumentError } from "../../errors.js";
import { throwIfAborted } from "../../interruption.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { hasMerge } from "../../graphs/block.js";
import type { Block } from "../../graphs/block.js";
import type { StandIn } from "../../engine/network/standIn.js";
import { KeptBranches } from "../../engine/keptBranches.js";
import type { BlockObserver } from "../../engine/network/observer.js";
import { networkOutline } from "./networkOutline.js";
import type { NetworkOutline } from "./networkOutline.js";
import { timingInputs } from "./timingInputs.js";

/** block id → seconds of each sample */
export type BlockSeconds = Readonly<Record<string, Float64Array>>;

/** Seconds of each block, raw; costs of one setting say nothing about another. */
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
  /** branch and merge run */
  readonly compute: BlockSeconds;
  /** as `compute`, and C is kept for later */
  readonly keep: BlockSeconds;
  /** only the merge runs, on a given C */
  readonly reuse: BlockSeconds;
  /** as `reuse`, where C is a weighted sum of two, or of three, kept values */
  readonly reuse2: BlockSeconds;
  readonly reuse3: BlockSeconds;
  /** seconds of everything else in an evaluation: time embedding, concatenation, the calls themselves */
  readonly rest: Float64Array;
  /** seconds of encoding the prompts, once per sampling */
  readonly text: Float64Array;
  /** what reads what, so that what nothing reads is not counted */
  readonly network: NetworkOutline;
}

/** The groups of Costs that hold seconds of each block. */
export const COST_GROUPS = ["compute", "keep", "reuse", "reuse2", "reuse3"] as const;
export type CostGroup = (typeof COST_GROUPS)[number];

export interface MeasureCostsOptions {
  /** rows of a network evaluation. Default: 2, one image with guidance */
  readonly rows?: number;
  /** how many evaluations of each kind are timed. Default: 9 */
  readonly samples?: number;
  readonly latentSize?: readonly [height: number, width: number];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Not counted: the first evaluations compile merge sessions and plan memory. */
const WARM_UP = 2;

/** Weights of the last values, oldest first: what they are does not change what the sum costs. */
const WEIGHTS = { reuse: [1], reuse2: [-1, 2], reuse3: [1, -3, 3] } as const;

/** The last values of every block's C, as a cached run would keep them. */
const KEPT = 3;

/**
 * Times evaluations that compute everything, that also keep every C, and that reuse every block with one,
 * two and three kept values, in turn, so that a slow spell of the machine falls on all of them. Weighted sums are timed
 * where they happen, with the merges.
 *
 * @throws ArgumentError for rows or samples that are not positive integers; InterruptedError on abort
 */
export async function measureCosts(pipeline: Pipeline, options: MeasureCostsOptions = {}): Promise<Costs> {
  const { rows = 2, samples = 9, latentSize = pipeline.defaultLatentSize, signal, onProgress } = options;
  for (const [name, value] of [
    ["rows", rows],
    ["samples", samples],
  ] as const) {
    if (!Number.isInteger(value) || value < 1)
      throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  }
  const { network, device } = pipeline;
  const prompts = Array<string>(rows).fill("");
  const inputs = await timingInputs(pipeline, rows, latentSize);
  const seconds = collectors(network.blocks, samples);
  const rest = new Float64Array(samples);
  const text = new Float64Array(samples);
  const kept = new KeptBranches<undefined>(KEPT);

  const evaluate = async (group: CostGroup, turn: number): Promise<void> => {
    throwIfAborted(signal, "measuring costs");
    let inBlocks = 0;
    const started = performance.now();
    await network.forward(
      { ...inputs, timestep: 500 },
      {
        observers: group === "compute" ? [] : [observerOf(kept, group)],
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
  const timed = async (into: Float64Array, turn: number, work: () => Promise<unknown>): Promise<void> => {
    const started = performance.now();
    await work();
    if (turn >= 0) into[turn] = (performance.now() - started) / 1000;
  };
  try {
    // There must be values to extrapolate from before anything is timed.
    for (let value = 0; value < KEPT; value++) await evaluate("keep", -1);
    for (let turn = -WARM_UP; turn < samples; turn++) {
      await timed(text, turn, () => pipeline.encodePrompts(prompts));
      for (const group of COST_GROUPS) await evaluate(group, turn);
      // A block without a merge, if reused, would leave everything before it unread: its sum is timed on its own.
      for (const block of network.blocks.filter((each) => !hasMerge(each))) {
        for (const group of REUSE_GROUPS) {
          await timed(seconds[group][block.id], turn, async () =>
            (await network.standInValue(block, standInOf(kept, block.id, group))).release(),
          );
        }
      }
      onProgress?.(turn + 1 + WARM_UP, samples + WARM_UP);
    }
  } finally {
    kept.clear();
  }
  const { name, threads } = device;
  return {
    setting: {
      fingerprint: await pipeline.fingerprint(),
      device: name,
      ...(threads === undefined ? {} : { threads }),
      rows,
      latent_size: [latentSize[0], latentSize[1]],
    },
    ...seconds,
    rest,
    text,
    network: networkOutline(pipeline, latentSize),
  };
}

const REUSE_GROUPS = ["reuse", "reuse2", "reuse3"] as const;

/** Keeps every C, or stands in for each that is merged. */
function observerOf(kept: KeptBranches<undefined>, group: Exclude<CostGroup, "compute">): BlockObserver {
  if (group === "keep")
    return {
      answer: () => ({ look: ["branch"] }),
      async look({ id }, { branch }) {
        if (branch !== undefined) kept.keep(id, branch, undefined);
        return undefined;
      },
    };
  return { answer: (block) => (hasMerge(block) ? { standIn: standInOf(kept, block.id, group) } : "compute") };
}

function standInOf(kept: KeptBranches<undefined>, id: string, group: keyof typeof WEIGHTS): StandIn {
  const weights = WEIGHTS[group];
  const values = kept.of(id).slice(-weights.length);
  return { terms: values.map(({ branch }, term) => ({ tensor: branch, weight: weights[term] })) };
}

function collectors(blocks: readonly Block[], samples: number): Record<CostGroup, Record<string, Float64Array>> {
  const collector = (): Record<string, Float64Array> =>
    Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(samples)]));
  return { compute: collector(), keep: collector(), reuse: collector(), reuse2: collector(), reuse3: collector() };
}
