/**
 * Changes to a schedule: pure, each gives a schedule that records what was done, so that they compose.
 * Only the blocks that a schedule names can be changed; the others always compute.
 */
import { ArgumentError } from "../../errors.js";
import { MersenneTwister } from "../../numerics/mersenneTwister.js";
import { blockPattern } from "../../instrument/hooks/blockSelection.js";
import { checkSchedule } from "./checkSchedule.js";
import { computesAt } from "./schedule.js";
import type { Schedule } from "./schedule.js";

/** Cells of a schedule. */
export interface Cells {
  /** a pattern: `*` inside one path segment, `**` across. Default: every scheduled block */
  readonly blocks?: string;
  /** 0-based network evaluations */
  readonly evaluations: readonly number[];
}

/** These cells compute. Throws ArgumentError where they are not in the schedule. */
export function pin(schedule: Schedule, cells: Cells): Schedule {
  const [named, evaluations] = cellsOf(schedule, cells, 0);
  return edited(schedule, { edit: "pin", ...cells }, (computed, id) =>
    named(id) ? [...computed, ...evaluations] : computed,
  );
}

/**
 * These cells reuse. Throws ArgumentError where they are not in the schedule, or include the first evaluation, which
 * must compute.
 */
export function forbid(schedule: Schedule, cells: Cells): Schedule {
  const [named, evaluations] = cellsOf(schedule, cells, 1);
  return edited(schedule, { edit: "forbid", ...cells }, (computed, id) =>
    named(id) ? computed.filter((evaluation) => !evaluations.includes(evaluation)) : computed,
  );
}

/** The first and the last evaluations compute. */
export function computeEnds(
  schedule: Schedule,
  { first = 1, last = 0 }: { readonly first?: number; readonly last?: number },
): Schedule {
  for (const [name, count] of [
    ["first", first],
    ["last", last],
  ] as const)
    requireInteger(name, count, 0);
  const { length } = schedule.timesteps;
  const ends = [...schedule.timesteps.keys()].filter((evaluation) => evaluation < first || evaluation >= length - last);
  return edited(schedule, { edit: "compute ends", first, last }, (computed) => [...computed, ...ends]);
}

/** No cache is reused for more than `age` evaluations: after that, its block computes. */
export function limitAge(schedule: Schedule, age: number): Schedule {
  requireInteger("age", age, 0);
  return edited(schedule, { edit: "limit age", age }, (computed) => {
    let filled = 0;
    return [...schedule.timesteps.keys()].filter((evaluation) => {
      const computes = computed.includes(evaluation) || evaluation - filled > age;
      if (computes) filled = evaluation;
      return computes;
    });
  });
}

/**
 * Each computing evaluation after the first moves, with a probability, to the one before or after it where
 * that reuses: another schedule that computes as often. The same seed gives the same one.
 */
export function perturb(
  schedule: Schedule,
  { seed, probability = 0.2 }: { readonly seed: number; readonly probability?: number },
): Schedule {
  requireInteger("seed", seed, 0);
  if (!(probability >= 0 && probability <= 1))
    throw new ArgumentError(`probability: expected a number from 0 to 1, found ${probability}`);
  const generator = new MersenneTwister(seed);
  const draw = (): number => generator.uint32() / 2 ** 32;
  return edited(schedule, { edit: "perturb", seed, probability }, (computed) => {
    const moved = new Set(computed);
    for (const evaluation of computed.slice(1)) {
      const [moves, target] = [draw() < probability, evaluation + (draw() < 0.5 ? -1 : 1)];
      if (!moves || moved.has(target) || target >= schedule.timesteps.length) continue;
      moved.delete(evaluation);
      moved.add(target);
    }
    return [...moved];
  });
}

/** Computes where either does. Throws ArgumentError where the two have different timesteps. */
export function union(schedule: Schedule, other: Schedule): Schedule {
  requireSameTimes(schedule, other);
  const common = Object.fromEntries(Object.entries(schedule.blocks).filter(([id]) => id in other.blocks));
  return edited(
    { ...schedule, blocks: common },
    { edit: "union", with: other.heuristic, edits: other.edits ?? [] },
    (computed, id) => [...computed, ...other.blocks[id]],
  );
}

/** Cells in which two schedules differ: block id → evaluations; blocks without any are left out. */
export interface ScheduleDifference {
  /** the first computes, the second reuses */
  readonly only_first: Readonly<Record<string, readonly number[]>>;
  /** the second computes, the first reuses */
  readonly only_second: Readonly<Record<string, readonly number[]>>;
}

/** Where two schedules differ. Throws ArgumentError where the two have different timesteps. */
export function difference(first: Schedule, second: Schedule): ScheduleDifference {
  requireSameTimes(first, second);
  const ids = [...new Set([...Object.keys(first.blocks), ...Object.keys(second.blocks)])];
  const only = (one: Schedule, other: Schedule): Record<string, number[]> =>
    Object.fromEntries(
      ids
        .map((id): [string, number[]] => [
          id,
          [...first.timesteps.keys()].filter(
            (evaluation) => computesAt(one, id, evaluation) && !computesAt(other, id, evaluation),
          ),
        ])
        .filter(([, evaluations]) => evaluations.length > 0),
    );
  return { only_first: only(first, second), only_second: only(second, first) };
}

function edited(
  schedule: Schedule,
  edit: NonNullable<Schedule["edits"]>[number],
  change: (computed: readonly number[], id: string) => readonly number[],
): Schedule {
  const blocks = Object.fromEntries(
    Object.entries(schedule.blocks).map(([id, computed]) => [
      id,
      [...new Set(change(computed, id))].sort((a, b) => a - b),
    ]),
  );
  return checkSchedule({ ...schedule, edits: [...(schedule.edits ?? []), edit], blocks });
}

function cellsOf(
  { blocks, timesteps }: Schedule,
  { blocks: pattern = "**", evaluations }: Cells,
  least: number,
): [named: (id: string) => boolean, evaluations: readonly number[]] {
  const named = blockPattern(pattern);
  if (!Object.keys(blocks).some(named))
    throw new ArgumentError(
      `blocks: expected a pattern of scheduled blocks, found "${pattern}" — there are ${Object.keys(blocks).join(", ")}`,
    );
  const outside = evaluations.find(
    (evaluation) => !Number.isInteger(evaluation) || evaluation < least || evaluation >= timesteps.length,
  );
  if (outside !== undefined)
    throw new ArgumentError(
      `evaluations: expected integers from ${least} to ${timesteps.length - 1}, found ${outside}`,
    );
  return [named, evaluations];
}

function requireInteger(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new ArgumentError(`${name}: expected an integer of ${least} or more, found ${value}`);
}

function requireSameTimes(schedule: Schedule, other: Schedule): void {
  if (schedule.timesteps.join() !== other.timesteps.join())
    throw new ArgumentError(
      `schedule: expected one for the same timesteps, found ${other.timesteps.length} evaluations from ${other.timesteps[0]} beside ${schedule.timesteps.length} from ${schedule.timesteps[0]}`,
    );
}
