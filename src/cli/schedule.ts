import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { ArgumentError } from "../errors.js";
import { computeProbability, probabilityCsv } from "../caching/computeProbability.js";
import type { Costs } from "../caching/costs.js";
import { loadCosts } from "../caching/costsFile.js";
import { peakCacheBytes } from "../caching/executionPlan.js";
import type { NamedHeuristic, NamedOptions } from "../caching/heuristics/registry.js";
import { withinBudget } from "../caching/heuristics/search.js";
import { predictSeconds, predictSpeedup } from "../caching/predictSeconds.js";
import { reuseRule } from "../caching/reuseRule.js";
import { computedShare, saveSchedule, scheduleCsv } from "../caching/schedule.js";
import type { Schedule } from "../caching/schedule.js";
import type { Profile } from "../instrument/profile.js";
import { loadProfile } from "../instrument/profileFile.js";
import { replaceFile } from "../models/replaceFile.js";
import { command, finiteNumber, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { cacheableOf, loadHeuristic, withHeuristic } from "./heuristic.js";
import type { HeuristicOptions } from "./heuristic.js";
import { createProgress } from "./progress.js";
import { reuseOption } from "./reuse.js";
import { applyEdits, withEdits } from "./scheduleEdits.js";
import type { EditOptions } from "./scheduleEdits.js";

interface ScheduleCommandOptions extends CommonOptions, HeuristicOptions, EditOptions {
  readonly delta?: number;
  readonly interval?: number;
  readonly speedup?: number;
  readonly latency?: number;
  readonly costs?: string;
  readonly reuse: string;
  readonly bootstrap?: string;
  readonly resamples: number;
  readonly out: string;
}

/** `blockcache schedule`: from a profile to a schedule. */
export function scheduleCommand(): Command {
  const schedule = command("schedule", "Find a caching schedule from a profile.", "blockcache schedule profile.safetensors --delta 0.2 --out schedule.json").argument("<profile>", "what `blockcache profile` wrote");
  withHeuristic(schedule)
    .option("--delta <d>", "as --option delta=<d>: how much change a cache may miss", finiteNumber)
    .option("--interval <n>", "as --option interval=<n>: every how many evaluations a block computes", positiveInteger)
    .option("--speedup <factor>", "tune the heuristic to a predicted speed-up; needs --costs", finiteNumber)
    .option("--latency <time>", "tune it to predicted seconds of a sampling, such as 0.8s or 800ms; needs --costs", seconds)
    .option("--costs <file>", "what `blockcache costs` wrote; predicts the speed-up and counts the cache's memory")
    .addOption(reuseOption("the rule that the run will use: its sums cost time"));
  return withEdits(schedule)
    .option("--bootstrap <file>", ".csv to write: the probability that each cell computes, over resampled trajectories")
    .option("--resamples <n>", "of the bootstrap", positiveInteger, 200)
    .requiredOption("--out <file>", ".json, or .csv for a table of 1 (computes) and 0 (reuses)")
    .action(async (path: string, options: ScheduleCommandOptions) => {
      const profile = await loadProfile(path);
      const heuristic = await loadHeuristic(options.heuristic);
      const costs = options.costs === undefined ? undefined : await loadCosts(options.costs);
      if (costs !== undefined && costs.setting.fingerprint !== profile.setting.model.fingerprint) {
        throw new ArgumentError(`--costs: ${options.costs} was measured on another model than ${path} — run \`blockcache costs\` on ${profile.setting.model.name}`);
      }
      const found = await applyEdits(find(heuristic, profile, costs, options), options);
      const named: Schedule = found.profile === undefined ? found : { ...found, profile: { ...found.profile, name: basename(path) } };
      if (options.out.endsWith(".csv")) await replaceFile(options.out, (temporary) => writeFile(temporary, scheduleCsv(named)));
      else await saveSchedule(options.out, named);
      if (options.bootstrap !== undefined) await bootstrap(options.bootstrap, profile, (resampled) => find(heuristic, resampled, costs, options), options.resamples);
      report(named, costs, options);
    });
}

function find(heuristic: NamedHeuristic, profile: Profile, costs: Costs | undefined, options: ScheduleCommandOptions): Schedule {
  const { delta, interval, speedup, latency } = options;
  const { parameter } = heuristic;
  const reuse = reuseRule(options.reuse);
  const given = { ...options.option, ...(delta === undefined ? {} : { delta }), ...(interval === undefined ? {} : { interval }) };
  const budgets = [speedup, latency].filter((each) => each !== undefined).length;
  const flag = parameter === "delta" || parameter === "interval" ? `--${parameter}` : `--option ${parameter}=…`;
  if (budgets + (parameter in given ? 1 : 0) > 1 || (budgets === 0 && parameter !== "" && parameter !== "speedup" && !(parameter in given))) {
    throw new ArgumentError(`schedule: expected ${flag} or --speedup or --latency for the heuristic ${heuristic.name}, one of them`);
  }
  const named: NamedOptions = { ...cacheableOf(options), ...given, ...(costs === undefined ? {} : { costs }), reuse };
  if (budgets === 0) return heuristic.find(profile, named);
  if (costs === undefined) throw new ArgumentError(`schedule: ${speedup === undefined ? "--latency" : "--speedup"} needs --costs — \`blockcache costs <model> --out costs.safetensors\` measures them`);
  if (parameter === "") throw new ArgumentError(`--heuristic: ${options.heuristic} does not say which option tunes it — export const parameter = "…" beside the function`);
  return withinBudget(heuristic, profile, { costs, reuse, speedup, seconds: latency }, named);
}

function report(schedule: Schedule, costs: Costs | undefined, options: ScheduleCommandOptions): void {
  const reuse = reuseRule(options.reuse);
  const share = computedShare(schedule);
  const predicted = costs === undefined ? undefined : { speedup: predictSpeedup(costs, schedule, reuse), seconds: predictSeconds(costs, schedule, reuse) };
  const cacheBytes = costs?.network === undefined ? undefined : peakCacheBytes(costs.network, schedule, costs.setting.rows, reuse);
  const said = [
    `${options.out}: ${Object.keys(schedule.blocks).length} blocks compute ${(100 * share).toFixed(0)} % of ${schedule.timesteps.length} evaluations`,
    ...(predicted === undefined ? [] : [`predicted speed-up ${predicted.speedup.toFixed(2)}, ${predicted.seconds.toFixed(3)} s a sampling of ${costs?.setting.rows} rows`]),
    ...(cacheBytes === undefined ? [] : [`at most ${(cacheBytes / 2 ** 20).toFixed(1)} MiB kept`]),
  ];
  print(options, { out: options.out, heuristic: schedule.heuristic, computedShare: share, predictedSpeedup: predicted?.speedup, predictedSeconds: predicted?.seconds, peakCacheBytes: cacheBytes }, [
    said.join(", "),
    ...(share === 1 ? ["nothing is reused: every block computes at every step — a larger δ or interval reuses more"] : []),
  ]);
}

async function bootstrap(path: string, profile: Profile, findAgain: (profile: Profile) => Schedule, resamples: number): Promise<void> {
  const progress = createProgress("resampling", "schedules");
  try {
    const probability = computeProbability(profile, findAgain, { resamples, onProgress: progress.update });
    await replaceFile(path, (temporary) => writeFile(temporary, probabilityCsv(probability)));
  } finally {
    progress.stop();
  }
}

/** `0.8s`, `800ms` or `0.8` as seconds. */
export function seconds(text: string): number {
  const [, amount, unit] = /^(\d*\.?\d+)\s*(s|ms)?$/.exec(text.trim()) ?? [];
  if (amount === undefined || Number(amount) === 0) throw new InvalidArgumentError(`expected a time above 0 such as 0.8s or 800ms, found "${text}".`);
  return unit === "ms" ? Number(amount) / 1000 : Number(amount);
}
