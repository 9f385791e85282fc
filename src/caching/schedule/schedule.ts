/**
 * A schedule says at which network evaluations each block computes; at the others it reuses what it
 * computed before. Plain data; scheduleFile.ts has it on disk.
 */
import { ArgumentError } from "../../errors.js";
import type { SamplingRecord } from "../../diffusion/samplingRecord.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { profileDigest } from "../../instrument/profile/profileDigest.js";

export interface Schedule {
  readonly format: "blockcache-schedule";
  readonly version: 1;
  readonly model: { readonly fingerprint: string; readonly name: string };
  readonly solver: string;
  /** the solver's whole configuration; absent in schedules of older versions and those made by hand */
  readonly solver_config?: Readonly<Record<string, unknown>>;
  readonly num_inference_steps: number;
  /** one entry a network evaluation, in sampling order */
  readonly timesteps: readonly number[];
  readonly guidance_scale: number;
  /** the profile that it was found from: its digest, and its file's name where there is one */
  readonly profile?: { readonly digest: string; readonly trajectories: number; readonly name?: string };
  /** what found it, with its options */
  readonly heuristic: Readonly<Record<string, unknown>> & { readonly name: string };
  /** what was changed afterwards, in order (edits.ts) */
  readonly edits?: readonly (Readonly<Record<string, unknown>> & { readonly edit: string })[];
  /**
   * block id → 0-based network evaluations that compute: ascending, the first is 0.
   * A block that is absent always computes.
   */
  readonly blocks: Readonly<Record<string, readonly number[]>>;
}

export const FORMAT = "blockcache-schedule";

/** A schedule for the setting of a profile. Throws ArgumentError where `blocks` breaks a rule. */
export function createSchedule(
  profile: Profile,
  heuristic: Schedule["heuristic"],
  blocks: Schedule["blocks"],
): Schedule {
  return scheduleOf(profile.setting, {
    profile: { digest: profileDigest(profile), trajectories: profile.trajectories.length },
    heuristic,
    blocks,
  });
}

/** A schedule for the network evaluations of a sampling. Throws ArgumentError where `blocks` breaks a rule. */
export function scheduleOf(
  { model, solver, solver_config, num_inference_steps, timesteps, guidance_scale }: SamplingRecord,
  found: Pick<Schedule, "profile" | "heuristic" | "blocks">,
): Schedule {
  return checkSchedule({
    format: FORMAT,
    version: 1,
    model,
    solver,
    solver_config,
    num_inference_steps,
    timesteps,
    guidance_scale,
    ...found,
  });
}

/** The schedule as it is. Throws ArgumentError where its blocks break a rule. */
export function checkSchedule(schedule: Schedule): Schedule {
  const fault = faultOf(schedule);
  if (fault !== undefined)
    throw new ArgumentError(`schedule: ${fault.field}: expected ${fault.expected}, found ${fault.found}`);
  return schedule;
}

/** Whether a block's branch runs at a network evaluation. */
export function computesAt(schedule: Pick<Schedule, "blocks">, id: string, evaluation: number): boolean {
  return schedule.blocks[id]?.includes(evaluation) ?? true;
}

/** Share of the scheduled blocks' evaluations that compute, from 0 to 1; 1 for an empty schedule. */
export function computedShare(schedule: Schedule): number {
  const lists = Object.values(schedule.blocks);
  if (lists.length === 0) return 1;
  return lists.reduce((sum, list) => sum + list.length, 0) / (lists.length * schedule.timesteps.length);
}

/** The first rule that a schedule's blocks break. */
export function faultOf({
  blocks,
  timesteps,
}: Schedule): { field: string; found: string; expected: string } | undefined {
  for (const [id, evaluations] of Object.entries(blocks)) {
    const field = `blocks.${id}`;
    if (evaluations[0] !== 0)
      return {
        field,
        found: `[${evaluations.join(", ")}]`,
        expected: "a list that starts with 0: the first evaluation computes everything",
      };
    const unsorted = evaluations.findIndex((evaluation, index) => index > 0 && evaluation <= evaluations[index - 1]);
    if (unsorted !== -1)
      return {
        field,
        found: `${evaluations[unsorted]} after ${evaluations[unsorted - 1]}`,
        expected: "evaluations in ascending order, each once",
      };
    const last = evaluations[evaluations.length - 1];
    if (last >= timesteps.length)
      return {
        field,
        found: String(last),
        expected: `evaluations from 0 to ${timesteps.length - 1}, one for each of timesteps`,
      };
  }
  return undefined;
}
