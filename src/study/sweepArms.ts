import { scheduleDigest } from "../caching/adjustment/adjustment.js";
import type { Adjustment } from "../caching/adjustment/adjustment.js";
import type { Costs } from "../caching/costs/costs.js";
import { askHeuristic } from "../caching/heuristics/askHeuristic.js";
import type { NamedHeuristic, NamedOptions } from "../caching/heuristics/registry.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { checkSchedule } from "../caching/schedule/checkSchedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import { ArgumentError } from "../errors.js";
import type { BlockKind } from "../graphs/block.js";
import type { Profile } from "../instrument/profile/profile.js";
import type { AdjustmentReference, Arm } from "./result.js";

/** An adjustment with a name for people. */
export interface NamedAdjustment {
  readonly name: string;
  readonly adjustment: Adjustment;
  readonly reference: AdjustmentReference;
}

export interface Sweep {
  /** with the parameter's values to try. Default: the heuristic's own */
  readonly heuristics: readonly { readonly heuristic: NamedHeuristic; readonly values?: readonly number[] }[];
  /** sets of kinds that may be cached, each with a name for people */
  readonly kinds: readonly { readonly label: string; readonly kinds: readonly BlockKind[] }[];
  /** the library's, or those that `defineReuseRule` gave: arms know them by name */
  readonly reuse: readonly ReuseRule[];
  /** num_inference_steps of the plain arms beside the profile's own */
  readonly plainSteps: readonly number[];
  /** further schedules, each with a name for people: edited ones, or for other numbers of steps */
  readonly schedules?: readonly { readonly name: string; readonly schedule: Schedule }[];
  /** each is a further arm: that of its schedule and reuse rule, with what stands in mended */
  readonly adjustments?: readonly NamedAdjustment[];
  /** for heuristics that decide by what a block costs */
  readonly costs?: Costs;
}

/**
 * Plain arms; every heuristic × value × set of kinds × reuse rule, with the schedule found from a profile; and
 * every further schedule × reuse rule; and every adjustment beside the arm that it was fitted for.
 *
 * @throws ArgumentError where a heuristic does for one of its values, a reuse rule was not defined, or an adjustment was
 *   fitted for none of the arms
 */
export function sweepArms(
  profile: Profile,
  { heuristics, kinds, reuse, plainSteps, schedules = [], adjustments = [], costs }: Sweep,
): Arm[] {
  const stray = reuse.find((rule) => reuseRule(rule.name) !== rule);
  if (stray !== undefined)
    throw new ArgumentError(
      `reuse: expected rules as they were defined, found another one named "${stray.name}" — defineReuseRule(rule) makes it the one of this name`,
    );
  const solver = profile.setting.solver as SolverName;
  const steps = profile.setting.num_inference_steps;
  const plain = [...new Set([...plainSteps, steps])]
    .sort((a, b) => a - b)
    .map((count): Arm => ({ name: `plain ${count}`, solver, steps: count }));
  const found = heuristics.flatMap(({ heuristic, values = heuristic.values }) =>
    kinds.flatMap((choice) =>
      values.flatMap((parameter) =>
        reuse.map((rule): Arm => ({
          name: `${heuristic.name} ${symbolOf(heuristic.parameter)} ${parameter}, ${choice.label}, ${rule.name}`,
          solver,
          steps,
          // Within a budget a rule's sums count.
          cached: {
            schedule: scheduleFor(profile, heuristic, parameter, { kinds: choice.kinds, costs, reuse: rule }),
            reuse: rule.name,
            kinds: choice.label,
            parameter,
          },
        })),
      ),
    ),
  );
  const given = schedules.flatMap(({ name, schedule }) =>
    reuse.map((rule): Arm => ({
      name: `${name}, ${rule.name}`,
      solver: schedule.solver as SolverName,
      steps: schedule.num_inference_steps,
      cached: { schedule: checkSchedule(schedule, name), reuse: rule.name, kinds: name },
    })),
  );
  const cached = [...found, ...given];
  return [...plain, ...cached, ...adjustments.map((each) => adjustedArm(each, cached))];
}

/** The arm that an adjustment was fitted for, adjusted. */
function adjustedArm({ name, adjustment, reference }: NamedAdjustment, arms: readonly Arm[]): Arm {
  for (const arm of arms) {
    const { cached } = arm;
    if (cached === undefined || cached.reuse !== adjustment.reuse) continue;
    if (scheduleDigest(cached.schedule) !== adjustment.schedule.digest) continue;
    return { ...arm, name: `${arm.name}, ${name}`, cached: { ...cached, adjustment: reference } };
  }
  const { heuristic, num_inference_steps: steps, digest } = adjustment.schedule;
  throw new ArgumentError(
    `adjustment: ${name}: fitted for a schedule of ${heuristic.name} with ${steps} steps (${digest.slice(0, 19)}…) and the reuse rule ${adjustment.reuse}, and no arm has these (${arms.map((arm) => arm.name).join("; ")}) — give the schedule that it was fitted for`,
  );
}

/** What a heuristic gives for a value of its parameter; where that is a speed-up, it is recorded as what was asked for. */
function scheduleFor(
  profile: Profile,
  { name, find, parameter }: NamedHeuristic,
  value: number,
  options: NamedOptions,
): Schedule {
  const schedule = askHeuristic(find, profile, { ...options, [parameter]: value }, `${name}, ${parameter} ${value}`);
  if (parameter !== "speedup") return schedule;
  return { ...schedule, heuristic: { ...schedule.heuristic, speedup: value } };
}

function symbolOf(parameter: string): string {
  return parameter === "delta" ? "δ" : parameter;
}
