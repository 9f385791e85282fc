import { copyProfile } from "../../instrument/profile/profileDigest.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { checkSchedule, requireBlocksOf } from "../schedule/checkSchedule.js";
import type { Schedule } from "../schedule/schedule.js";

/**
 * What a heuristic answers, which may be a user's own: it is given copies of its own of profile and options, and its
 * answer is checked and copied. So nothing that it writes into what it was given, or later into what it gave, changes
 * what another one sees or gave.
 *
 * @param name for messages
 * @throws ArgumentError where the answer is no schedule of the profile's blocks; what the heuristic throws
 */
export function askHeuristic<Options extends object>(
  find: (profile: Profile, options: Options) => Schedule,
  profile: Profile,
  options: Options,
  name = "heuristic",
): Schedule {
  const where = `${name}: the schedule that it returned`;
  const schedule = checkSchedule(find(copyProfile(profile), copyOptions(options)), where);
  requireBlocksOf(profile, schedule, where);
  return schedule;
}

function copyOptions<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, copyOf(value)])) as Options;
}

/** Functions, and what holds some (a reuse rule), have no copy and are passed on. */
function copyOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return value;
  }
}
