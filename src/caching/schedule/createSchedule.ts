import type { SamplingRecord } from "../../diffusion/samplingRecord.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { profileDigest } from "../../instrument/profile/profileDigest.js";
import { FORMAT, checkSchedule, requireBlocksOf } from "./checkSchedule.js";
import type { Schedule } from "./schedule.js";

/**
 * A schedule for the setting of a profile. It has its own lists: what is done to `blocks` later does not change it.
 *
 * @throws ArgumentError where `blocks` breaks a rule or names a block that the profile does not have, or `heuristic` is
 *   not plain data
 */
export function createSchedule(
  profile: Profile,
  heuristic: Schedule["heuristic"],
  blocks: Schedule["blocks"],
): Schedule {
  const schedule = scheduleOf(profile.setting, {
    profile: { digest: profileDigest(profile), trajectories: profile.trajectories.length },
    heuristic,
    blocks,
  });
  requireBlocksOf(profile, schedule);
  return schedule;
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
