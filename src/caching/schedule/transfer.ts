/** What a schedule found in one setting is worth in another: other prompts, guidance, size, solver, steps. */
import { ArgumentError } from "../../errors.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { summarise } from "../../instrument/profile/statistics.js";
import { askHeuristic } from "../heuristics/askHeuristic.js";
import { missedChange } from "../heuristics/lifetimes.js";
import { createSchedule } from "./createSchedule.js";
import { computedShare, computesAt } from "./schedule.js";
import type { Schedule } from "./schedule.js";

/**
 * A schedule for the setting of another profile of the same model. Each computing evaluation goes to the
 * one nearest in timestep, so that a cache lives through the same part of the diffusion; where the
 * timesteps are the same, nothing changes.
 *
 * @throws ArgumentError where the profile is of another model
 */
export function transferSchedule(schedule: Schedule, profile: Profile): Schedule {
  const { model, timesteps } = profile.setting;
  if (model.fingerprint !== schedule.model.fingerprint)
    throw new ArgumentError(
      `transfer: expected a profile of the schedule's model ${schedule.model.name}, found one of ${model.name}`,
    );
  const target = schedule.timesteps.map((timestep) => {
    const distances = timesteps.map((each) => Math.abs(each - timestep));
    return distances.indexOf(Math.min(...distances));
  });
  const same = timesteps.join() === schedule.timesteps.join();
  const blocks = Object.fromEntries(
    Object.entries(schedule.blocks).map(([id, computed]) => [
      id,
      same ? computed : [...new Set([0, ...computed.map((evaluation) => target[evaluation])])].sort((a, b) => a - b),
    ]),
  );
  return createSchedule(
    profile,
    { name: "transferred", from: schedule.heuristic, timesteps: schedule.timesteps.length },
    blocks,
  );
}

/** How a schedule found in the setting `from` does in the setting `to`. */
export interface TransferRow {
  readonly from: string;
  readonly to: string;
  /** share of the scheduled blocks' evaluations that compute, from 0 to 1 */
  readonly computed_share: number;
  /** share of cells that do the same as in the schedule found in `to` itself */
  readonly agreement: number;
  /** change that a cache has missed, the mean over cells, by the change curves of `to` (lifetimes.ts) */
  readonly missed: number;
}

/**
 * Every setting's schedule in every setting, by their profiles alone; a row's `missed` is to be read beside
 * that of the schedule at home (`from` = `to`), and at its share of computed cells.
 *
 * @param profiles name → profile, of one model
 * @param find a heuristic with its options
 * @throws ArgumentError where a profile is of another model; what `find` throws
 */
export function transferTable(
  profiles: Readonly<Record<string, Profile>>,
  find: (profile: Profile) => Schedule,
): readonly TransferRow[] {
  const settings = Object.entries(profiles).map(([name, profile]) => ({
    name,
    profile,
    home: askHeuristic(find, profile, {}),
  }));
  return settings.flatMap((from) =>
    settings.map(({ name, profile, home }) => {
      const schedule = transferSchedule(from.home, profile);
      return {
        from: from.name,
        to: name,
        computed_share: computedShare(schedule),
        agreement: agreement(schedule, home),
        missed: meanMissed(profile, schedule),
      };
    }),
  );
}

function agreement(schedule: Schedule, other: Schedule): number {
  const ids = new Set([schedule, other].flatMap(({ blocks }) => Object.keys(blocks)));
  const cells = [...ids].flatMap((id) =>
    [...schedule.timesteps.keys()].map(
      (evaluation) => computesAt(schedule, id, evaluation) === computesAt(other, id, evaluation),
    ),
  );
  return cells.length === 0 ? 1 : cells.filter((same) => same).length / cells.length;
}

function meanMissed(profile: Profile, { blocks, timesteps }: Schedule): number {
  const change = new Map(summarise(profile).map(({ block, mean }) => [block.id, mean]));
  const lists = Object.entries(blocks);
  if (lists.length === 0) return 0;
  const missed = lists.map(([id, computed]) => {
    const missedBetween = missedChange(change.get(id) ?? new Float64Array(timesteps.length));
    return computed.reduce((sum, from, place) => sum + missedBetween(from, computed[place + 1] ?? timesteps.length), 0);
  });
  return missed.reduce((sum, each) => sum + each, 0) / (lists.length * timesteps.length);
}
