/** What a block's computing and reusing cost on this machine, and what a schedule will. */
import { ArgumentError, InterruptedError } from "../errors.js";
import { emptyConditions } from "../diffusion/conditioning.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { hasMerge } from "../graphs/block.js";
import { median } from "../instrument/statistics.js";
import type { FloatTensor } from "../models/tensor.js";
import { elementCount } from "../models/tensor.js";
import type { BlockObserver } from "../runtime/observer.js";
import { release, retain } from "../runtime/ownership.js";
import type { DeviceTensor } from "../runtime/session.js";
import { computesAt } from "./schedule.js";
import type { Schedule } from "./schedule.js";

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
  /** block id → seconds of each sample, its branch and merge run */
  readonly compute: Readonly<Record<string, Float64Array>>;
  /** block id → seconds of each sample, C given */
  readonly reuse: Readonly<Record<string, Float64Array>>;
  /** seconds of everything else in an evaluation: time embedding, concatenation, the calls themselves */
  readonly rest: Float64Array;
}

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

/** Times evaluations that compute everything and evaluations that reuse every block, in turn. */
export async function measureCosts(pipeline: Pipeline, options: MeasureCostsOptions = {}): Promise<Costs> {
  const { rows = 2, samples = 9, latentSize = pipeline.defaultLatentSize, signal, onProgress } = options;
  for (const [name, value] of [["rows", rows], ["samples", samples]] as const) {
    if (!Number.isInteger(value) || value < 1) throw new ArgumentError(`${name}: expected an integer of 1 or more, found ${value}`);
  }
  const { network } = pipeline;
  const ids = network.blocks.map(({ id }) => id);
  const conditions = await emptyConditions(pipeline, rows, latentSize);
  const sample = patterned([rows, pipeline.folder.unet.in_channels, ...latentSize]);
  const branches = new Map<string, DeviceTensor>();
  const keep: BlockObserver = {
    wants: () => ({ branch: true, out: false }),
    async computed({ id }, { branch }) {
      branches.set(id, retain(branch));
      return undefined;
    },
  };
  const reuse: BlockObserver = {
    wants: () => ({ branch: false, out: false }),
    // A reused sampler would leave nothing to run before it; its own reuse is free.
    standsIn: (block) => hasMerge(block),
    async standIn({ id }) {
      const branch = branches.get(id);
      if (branch === undefined) throw new TypeError(`${id}: no branch was kept`);
      return branch;
    },
    computed: async () => undefined,
  };
  const seconds = { compute: collector(ids, samples), reuse: collector(ids, samples) };
  const rest = new Float64Array(samples);
  const evaluate = async (observer: BlockObserver | undefined, turn: number, into: Record<string, Float64Array> | undefined): Promise<void> => {
    if (signal?.aborted) throw new InterruptedError("measuring costs was interrupted");
    let inBlocks = 0;
    const started = performance.now();
    await network.forward(
      { sample, timestep: 500, ...conditions },
      {
        observer,
        evaluation: { index: 0, timestep: 500, images: rows, guided: false },
        signal,
        onStageTime: (id, elapsed) => {
          if (into !== undefined && id in into) {
            into[id][turn] = elapsed;
            inBlocks += elapsed;
          }
        },
      },
    );
    if (into === seconds.compute) rest[turn] = Math.max(0, (performance.now() - started) / 1000 - inBlocks);
  };
  try {
    await evaluate(keep, 0, undefined);
    for (let turn = -WARM_UP; turn < samples; turn++) {
      await evaluate(undefined, turn, turn < 0 ? undefined : seconds.compute);
      await evaluate(reuse, turn, turn < 0 ? undefined : seconds.reuse);
      onProgress?.(turn + 1 + WARM_UP, samples + WARM_UP);
    }
  } finally {
    for (const branch of branches.values()) release(branch);
  }
  for (const block of network.blocks) if (!hasMerge(block)) seconds.reuse[block.id].fill(0);
  const { name, threads } = pipeline.device;
  return { setting: { fingerprint: await pipeline.fingerprint(), device: name, ...(threads === undefined ? {} : { threads }), rows, latent_size: [latentSize[0], latentSize[1]] }, ...seconds, rest };
}

/** Seconds of the network evaluations of a whole sampling by a schedule: medians summed. */
export function predictSeconds(costs: Costs, schedule: Pick<Schedule, "timesteps" | "blocks">): number {
  const { length } = schedule.timesteps;
  let seconds = length * median(costs.rest);
  for (const [id, compute] of Object.entries(costs.compute)) {
    const computed = schedule.timesteps.filter((_, evaluation) => computesAt(schedule, id, evaluation)).length;
    seconds += computed * median(compute) + (length - computed) * median(costs.reuse[id]);
  }
  return seconds;
}

/** Plain seconds ÷ the schedule's, as predicted. */
export function predictSpeedup(costs: Costs, schedule: Schedule): number {
  return predictSeconds(costs, { ...schedule, blocks: {} }) / predictSeconds(costs, schedule);
}

/** The speed-up if these blocks computed at the first evaluation only: no schedule of them is faster. */
export function speedupCeiling(costs: Costs, schedule: Schedule, blocks: readonly string[]): number {
  return predictSpeedup(costs, { ...schedule, blocks: Object.fromEntries(blocks.map((id) => [id, [0]])) });
}

/** Halvings of the search for δ: finer than any profile's values. */
const HALVINGS = 40;

/**
 * The smallest δ whose schedule is predicted to be at least `speedup` times faster.
 *
 * @param scheduleOf a heuristic whose schedules compute no more where δ is greater
 * @throws ArgumentError where no δ reaches it; the message names the ceiling
 */
export function deltaForSpeedup(costs: Costs, speedup: number, scheduleOf: (delta: number) => Schedule): number {
  let high = 1;
  const least = scheduleOf(Number.MAX_VALUE);
  const ceiling = predictSpeedup(costs, least);
  if (!(speedup <= ceiling)) {
    throw new ArgumentError(`speedup: expected at most ${ceiling.toFixed(3)}, the ceiling of these blocks on this machine, found ${speedup} — allow more kinds of block`);
  }
  if (predictSpeedup(costs, scheduleOf(0)) >= speedup) return 0;
  while (predictSpeedup(costs, scheduleOf(high)) < speedup) high *= 2;
  let low = 0;
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (low + high) / 2;
    if (predictSpeedup(costs, scheduleOf(middle)) >= speedup) high = middle;
    else low = middle;
  }
  return high;
}

function collector(ids: readonly string[], samples: number): Record<string, Float64Array> {
  return Object.fromEntries(ids.map((id) => [id, new Float64Array(samples)]));
}

/** Numbers of ordinary size; their values do not change what a block costs. */
function patterned(dims: readonly number[]): FloatTensor {
  return { dims, data: Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index)) };
}
