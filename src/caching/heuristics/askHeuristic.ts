import { checkpoint } from "../../checkpoint.js";
import { ArgumentError, BlockcacheError } from "../../errors.js";
import { copyProfile } from "../../instrument/profile/profileDigest.js";
import type { Profile } from "../../instrument/profile/profile.js";
import { checkSchedule, requireBlocksOf } from "../schedule/checkSchedule.js";
import type { Schedule } from "../schedule/schedule.js";

/**
 * Asks a heuristic, which may be a user's own. It gets its own copies of profile and options, and its answer is checked
 * and copied, so that nothing it writes into its arguments, or later into its answer, affects another heuristic.
 *
 * @param name for messages
 * @throws ArgumentError where the answer is not a schedule of the profile's blocks, or the heuristic throws an error
 *   that is not one of this library's; InterruptedError where the surrounding work was stopped
 */
export function askHeuristic<Options extends object>(
  find: (profile: Profile, options: Options) => Schedule,
  profile: Profile,
  options: Options,
  name = "heuristic",
): Schedule {
  // A search asks many times, and lets nothing else run.
  checkpoint(`the search with ${name}`);
  const where = `${name}: the schedule that it returned`;
  const schedule = checkSchedule(answerOf(find, profile, options, name), where);
  requireBlocksOf(profile, schedule, where);
  return schedule;
}

/** An error from outside this library says neither which heuristic threw it nor what it was asked: this adds both. */
function answerOf<Options extends object>(
  find: (profile: Profile, options: Options) => Schedule,
  profile: Profile,
  options: Options,
  name: string,
): Schedule {
  try {
    return find(copyProfile(profile), copyOptions(options));
  } catch (error) {
    if (error instanceof BlockcacheError) throw error;
    const asked = Object.entries(options)
      .filter(([, value]) => typeof value === "number" || typeof value === "string")
      .map(([key, value]) => ` ${key} ${value}`);
    throw new ArgumentError(
      `${name}: it was asked for${asked.length === 0 ? " a schedule" : asked.join(",")}, and threw: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

function copyOptions<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, copyOf(value)])) as Options;
}

/** Functions, and objects that hold some (a reuse rule), cannot be copied and are passed on as they are. */
function copyOf(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return value;
  }
}
