/**
 * A search on the cached trajectory itself: schedules are judged by the error that really comes out at the
 * end, not by change along the plain trajectory.
 */
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import { adjustmentFrom } from "../caching/adjustment/adjustmentFrom.js";
import { cachedRun } from "../caching/run/cachedRun.js";
import { budgetRecord, secondsOf } from "../caching/heuristics/budget.js";
import type { Budget } from "../caching/heuristics/budget.js";
import { predictSeconds } from "../caching/costs/predictSeconds.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import { reuseDigest } from "../caching/run/reuseDigest.js";
import { hold } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { checkSchedule } from "../caching/schedule/checkSchedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { scheduleSampling } from "../caching/schedule/scheduleSampling.js";
import { evaluationTimes } from "../diffusion/evaluationTimes.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planEvaluations } from "../diffusion/plannedEvaluations.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import { ArgumentError } from "../errors.js";
import { throwIfAborted } from "../interruption.js";
import { whileKeptIn } from "../files/whileLocked.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { mean } from "../instrument/profile/statistics.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { relativeDistances } from "../quality/distance.js";
import { finalLatents } from "./finalLatents.js";
import { digestOf, measuredErrors } from "./measuredErrors.js";

export interface RefineOptions extends Budget {
  /** sampled together in every run */
  readonly trajectories: readonly Trajectory[];
  /** what the schedule does not say of the sampling */
  readonly sampling?: Pick<SampleOptions, "negativePrompt" | "height" | "width">;
  /** final latents that a run should come to, one row for each trajectory. Default: the plain run's */
  readonly reference?: FloatTensor;
  readonly reuse?: ReuseRule;
  /** at most so many cached samplings. Default: 300 */
  readonly runs?: number;
  /** Written after each run; the same call goes on from it. */
  readonly file?: string;
  /** cached samplings done, at most to do, and the least error so far */
  readonly onProgress?: (done: number, most: number, error: number) => void;
  readonly signal?: AbortSignal;
}

export interface Refined {
  readonly schedule: Schedule;
  /** what mended the schedule's own run, where fits were given */
  readonly adjustment?: Adjustment;
  /** mean over trajectories of the relative L2 of the final latents to the reference */
  readonly error: number;
  readonly startError: number;
  /** cached samplings, those resumed counted */
  readonly runs: number;
}

type Blocks = Schedule["blocks"];

/** The scheduled blocks of one down, mid or up block at one evaluation: they move together. */
interface Group {
  readonly ids: readonly string[];
  readonly evaluation: number;
}

/** A group that would compute or reuse as a whole, with what that was measured to do. */
interface Move {
  readonly group: Group;
  readonly compute: boolean;
  /** error before − after: above 0 where it helps */
  readonly gain: number;
  /** predicted seconds after − before */
  readonly seconds: number;
}

/** At first so many groups are made to compute in one go; halved while that does not help. */
const MOST_MOVES = 8;

/**
 * Greedy refinement of a schedule within a budget. In each round every group of cells (a down, mid or up
 * block at one evaluation) is tried computing and reusing, one sampling each; those that help most a second
 * are made to compute, paid for by those that harm least a second saved, and the new schedule is kept where
 * its own run has the least error so far. The search ends where no step helps, or with the runs. With fits every run is
 * mended by them, so that a reuse costs what an adjustment leaves of its error.
 *
 * @throws ArgumentError where a trajectory stands there twice, `file` cannot be written and read again, the start is not within the budget, or the costs are of
 *   another model or size; InUseError where another search is writing `file`; InterruptedError on abort, after which the
 *   same call goes on from it
 */
export async function refineOnTrajectory(
  pipeline: Pipeline,
  start: Schedule,
  options: RefineOptions,
): Promise<Refined> {
  const { file, trajectories } = options;
  const repeated = trajectories.find(
    (each, index) =>
      trajectories.findIndex((other) => other.prompt === each.prompt && other.seed === each.seed) < index,
  );
  if (repeated !== undefined)
    throw new ArgumentError(
      `trajectories: expected each once, found "${repeated.prompt}" from seed ${repeated.seed} twice — it would weigh twice`,
    );
  const search = (): Promise<Refined> => refine(pipeline, checkSchedule(start, "start"), options);
  return whileKeptIn(file, search);
}

async function refine(pipeline: Pipeline, start: Schedule, options: RefineOptions): Promise<Refined> {
  const { costs, trajectories, reuse = hold, fits, runs: most = 300, file, onProgress, signal } = options;
  if (fits !== undefined && reuse.name !== hold.name)
    throw new ArgumentError(`reuse: expected hold, which the fits mend, found ${reuse.name}`);
  const { timesteps } = start;
  const sampling = { ...scheduleSampling(start), ...options.sampling, signal };
  const plan = planEvaluations(pipeline, sampling);
  requireCostsOf(costs, start.model, plan.latentSize);
  const allowed = secondsOf(options, timesteps);
  const secondsOfBlocks = (blocks: Blocks): number => predictSeconds(costs, { timesteps, blocks }, reuse);
  if (secondsOfBlocks(start.blocks) > allowed)
    throw new ArgumentError(
      `start: expected a schedule within the budget of ${allowed.toPrecision(4)} s, found one of ${secondsOfBlocks(start.blocks).toPrecision(4)} s — withinBudget finds one`,
    );
  const reference = options.reference ?? (await finalLatents(pipeline, trajectories, sampling));
  const { blocks: _, heuristic: __, edits, ...setting } = start;
  const fitted = Object.entries(fits?.blocks ?? {}).map(([id, { error }]) => [id, [...error]]);
  const known = await measuredErrors(
    file,
    digestOf([setting, trajectories, stated(options.sampling), reuse.name, digestOf([...reference.data]), ...fitted]),
  );

  const mended = (blocks: Blocks): Adjustment | undefined =>
    fits === undefined ? undefined : adjustmentFrom(fits, { ...start, blocks });
  // An edited rule of one's own gives other weights, and other errors.
  const times = evaluationTimes(plan.solver);
  const keyOf = (blocks: Blocks): unknown => {
    const weights = reuseDigest({ blocks }, reuse, times);
    return weights === undefined ? blocks : { blocks, weights };
  };

  let [runs, least] = [0, Infinity];
  /** undefined once the runs are used up */
  const errorOf = async (blocks: Blocks): Promise<number | undefined> => {
    if (runs === most) return undefined;
    throwIfAborted(signal, "the search");
    let error = known.get(keyOf(blocks));
    if (error === undefined) {
      const latents = await finalLatents(pipeline, trajectories, {
        ...sampling,
        hooks: [cachedRun({ ...start, blocks }, { reuse, adjustment: mended(blocks) })],
      });
      error = mean(relativeDistances(latents, reference));
      await known.set(keyOf(blocks), error);
    }
    least = Math.min(least, error);
    runs++;
    onProgress?.(runs, most, least);
    return error;
  };

  const groups = groupsOf(start);
  const startError = (await errorOf(start.blocks)) ?? Infinity;
  let [blocks, error] = [start.blocks, startError];
  for (;;) {
    const moves: Move[] = [];
    for (const group of groups) {
      for (const compute of [true, false]) {
        const moved = withGroup(blocks, group, compute);
        if (digestOf(moved) === digestOf(blocks)) continue;
        const after = await errorOf(moved);
        if (after !== undefined)
          moves.push({
            group,
            compute,
            gain: error - after,
            seconds: secondsOfBlocks(moved) - secondsOfBlocks(blocks),
          });
      }
    }
    const better = await bestStep(blocks, error, moves);
    if (better === undefined) break;
    [blocks, error] = better;
  }
  // The edits came before the search.
  const heuristic = {
    name: "trajectory-search",
    start: start.heuristic,
    ...(edits === undefined ? {} : { start_edits: edits }),
    ...budgetRecord(options),
    reuse: reuse.name,
    trajectories: trajectories.length,
    error,
    start_error: startError,
    runs,
  };
  const schedule = { ...setting, heuristic, blocks };
  return {
    ...{ schedule, error, startError, runs },
    ...(fits === undefined ? {} : { adjustment: adjustmentFrom(fits, schedule) }),
  };

  async function bestStep(from: Blocks, before: number, moves: readonly Move[]): Promise<[Blocks, number] | undefined> {
    const helping = moves.filter(({ gain }) => gain > 0).sort((a, b) => perSecond(b) - perSecond(a));
    const saving = moves
      .filter(({ compute, seconds }) => !compute && seconds < 0)
      .sort((a, b) => a.gain / a.seconds - b.gain / b.seconds);
    for (let count = Math.min(MOST_MOVES, helping.length); count >= 1; count >>= 1) {
      const taken = new Set(helping.slice(0, count).map(({ group }) => group));
      let moved = helping
        .slice(0, count)
        .reduce<Blocks>((sofar, { group, compute }) => withGroup(sofar, group, compute), from);
      for (const { group } of saving) {
        if (secondsOfBlocks(moved) <= allowed) break;
        if (!taken.has(group)) moved = withGroup(moved, group, false);
      }
      if (secondsOfBlocks(moved) > allowed) continue;
      const after = await errorOf(moved);
      if (after !== undefined && after < before) return [moved, after];
    }
    return undefined;
  }
}

/** Nothing where no option is said: the same setting then, and the same digest. */
function stated(sampling: RefineOptions["sampling"]): RefineOptions["sampling"] {
  return Object.values(sampling ?? {}).every((value) => value === undefined) ? undefined : sampling;
}

/** What helps and saves time comes first, then what helps most a second. */
function perSecond({ gain, seconds }: Move): number {
  return seconds <= 0 ? Infinity : gain / seconds;
}

function groupsOf({ blocks, timesteps }: Schedule): readonly Group[] {
  const stages = new Map<string, string[]>();
  for (const id of Object.keys(blocks)) {
    const stage = id.startsWith("mid_block") ? "mid_block" : id.split(".", 2).join(".");
    stages.set(stage, [...(stages.get(stage) ?? []), id]);
  }
  return [...stages.values()].flatMap((ids) =>
    [...timesteps.keys()].slice(1).map((evaluation) => ({ ids, evaluation })),
  );
}

function withGroup(blocks: Blocks, { ids, evaluation }: Group, compute: boolean): Blocks {
  const changed = (computed: readonly number[]): number[] =>
    [...computed.filter((each) => each !== evaluation), ...(compute ? [evaluation] : [])].sort((a, b) => a - b);
  return Object.fromEntries(
    Object.entries(blocks).map(([id, computed]) => [id, ids.includes(id) ? changed(computed) : computed]),
  );
}
