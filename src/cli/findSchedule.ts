/** From a profile to a schedule, by the options that `schedule`, `sample --profile` and `transfer` share. */
import type { Command } from "commander";
import type { ReuseFits } from "../caching/adjustment/reuseFits.js";
import type { Costs } from "../caching/costs/costs.js";
import { askHeuristic } from "../caching/heuristics/askHeuristic.js";
import type { NamedHeuristic, NamedOptions } from "../caching/heuristics/registry.js";
import { withinBudget } from "../caching/heuristics/search.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { Profile } from "../instrument/profile/profile.js";
import { UsageError, finiteNumber, positiveInteger, seconds } from "./command.js";
import { cacheableOf, withHeuristic } from "./heuristic.js";
import type { HeuristicOptions } from "./heuristic.js";

export interface FindOptions extends HeuristicOptions {
  readonly delta?: number;
  readonly interval?: number;
  readonly speedup?: number;
  readonly latency?: number;
}

/** Adds the options of a heuristic, and how it is tuned. */
export function withFinding(command: Command): Command {
  return withHeuristic(command)
    .option("--delta <d>", "the same as --option delta=<d>: how much change a cache may miss", finiteNumber)
    .option(
      "--interval <n>",
      "the same as --option interval=<n>: a block computes once in n evaluations",
      positiveInteger,
    )
    .option("--speedup <factor>", "tune the heuristic to a predicted speed-up; needs --costs", finiteNumber)
    .option(
      "--latency <time>",
      "tune it to predicted seconds per sampling, such as 0.8s or 800ms; needs --costs",
      seconds,
    );
}

/** The names that commander gives to the options of `withFinding`. */
export const FINDING = [
  "heuristic",
  "option",
  "kinds",
  "pattern",
  "resolutions",
  "delta",
  "interval",
  "speedup",
  "latency",
] as const;

/**
 * The schedule that the options ask for.
 *
 * @param reuse the rule that the run will use: its sums count in a budget
 * @param fits what an adjustment will correct
 * @throws UsageError where the heuristic does not have an option, or nothing says how to tune it; whatever the
 *   heuristic throws
 */
export function findSchedule(
  heuristic: NamedHeuristic,
  profile: Profile,
  costs: Costs | undefined,
  reuse: ReuseRule,
  options: FindOptions,
  fits?: ReuseFits,
): Schedule {
  const { delta, interval, speedup, latency, option = {} } = options;
  const { name, parameter } = heuristic;
  checkOptions(heuristic, options);
  // Of the library's, those that plan for a speed-up themselves; one's own may read what it likes.
  if (fits !== undefined && heuristic.options !== undefined && parameter !== "speedup")
    throw new UsageError(
      `--reuse-fits: expected with greedy or dynamic-programme, which weigh errors, found the heuristic ${name}`,
    );
  const given = {
    ...option,
    ...(delta === undefined ? {} : { delta }),
    ...(interval === undefined ? {} : { interval }),
  };
  const budgets = [speedup, latency].filter((each) => each !== undefined).length;
  const flag = parameter === "delta" || parameter === "interval" ? `--${parameter}` : `--option ${parameter}=…`;
  if (
    budgets + (parameter in given ? 1 : 0) > 1 ||
    (budgets === 0 && parameter !== "" && parameter !== "speedup" && !(parameter in given))
  ) {
    throw new UsageError(`schedule: expected ${flag} or --speedup or --latency for the heuristic ${name}, one of them`);
  }
  const named: NamedOptions = {
    ...cacheableOf(options),
    ...given,
    ...(costs === undefined ? {} : { costs }),
    ...(fits === undefined ? {} : { fits }),
    reuse,
  };
  if (budgets === 0) return askHeuristic(heuristic.find, profile, named, heuristic.name);
  if (costs === undefined)
    throw new UsageError(
      `schedule: ${speedup === undefined ? "--latency" : "--speedup"} needs --costs — \`blockcache costs <model> --out costs.safetensors\` measures them`,
    );
  if (parameter === "")
    throw new UsageError(
      `--heuristic: ${options.heuristic} does not say which option tunes it — export const parameter = "…" beside the function`,
    );
  return withinBudget(heuristic, profile, { costs, reuse, speedup, seconds: latency }, named);
}

/** An option that the heuristic would ignore is a mistake. */
function checkOptions(
  { name, parameter, options: known }: NamedHeuristic,
  { delta, interval, option = {} }: FindOptions,
): void {
  for (const [flag, value] of [
    ["delta", delta],
    ["interval", interval],
  ] as const) {
    if (value !== undefined && parameter !== flag && parameter !== "")
      throw new UsageError(`--${flag}: the heuristic ${name} is tuned by ${parameter} — --option ${parameter}=…`);
    if (value !== undefined && flag in option)
      throw new UsageError(`--${flag}: expected it, or --option ${flag}=…, found both`);
  }
  if (known === undefined) return;
  const stray = Object.keys(option).find((key) => key !== parameter && !known.includes(key));
  if (stray !== undefined)
    throw new UsageError(`--option: the heuristic ${name} has ${[parameter, ...known].join(", ")}, found "${stray}"`);
}
