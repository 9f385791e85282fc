import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { Option } from "commander";
import { ArgumentError } from "../errors.js";
import { predictSpeedup } from "../caching/predictSeconds.js";
import { heuristicNamed } from "../caching/heuristics/registry.js";
import { withinBudget } from "../caching/heuristics/search.js";
import type { Costs } from "../caching/costs.js";
import { loadCosts } from "../caching/costsFile.js";
import { threshold } from "../caching/heuristics/threshold.js";
import { uniform } from "../caching/heuristics/uniform.js";
import { computedShare, saveSchedule, scheduleCsv } from "../caching/schedule.js";
import type { Schedule } from "../caching/schedule.js";
import type { BlockKind } from "../graphs/block.js";
import type { Profile } from "../instrument/profile.js";
import { loadProfile } from "../instrument/profileFile.js";
import { replaceFile } from "../models/replaceFile.js";
import { command, finiteNumber, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { kindsOption } from "./kinds.js";

interface ScheduleCommandOptions extends CommonOptions {
  readonly heuristic: "threshold" | "uniform";
  readonly delta?: number;
  readonly interval?: number;
  readonly speedup?: number;
  readonly costs?: string;
  readonly kinds?: BlockKind[];
  readonly out: string;
}

/** `blockcache schedule`: from a profile to a schedule. */
export function scheduleCommand(): Command {
  return command("schedule", "Find a caching schedule from a profile.", "blockcache schedule profile.safetensors --delta 0.2 --out schedule.json")
    .argument("<profile>", "what `blockcache profile` wrote")
    .addOption(new Option("--heuristic <name>", "threshold: the paper's, on accumulated change; uniform: a fixed interval").choices(["threshold", "uniform"]).default("threshold"))
    .option("--delta <d>", "threshold: how much accumulated change a cache may miss", finiteNumber)
    .option("--speedup <factor>", "threshold: the smallest δ predicted to be so much faster; needs --costs", finiteNumber)
    .option("--costs <file>", "what `blockcache costs` wrote; predicts the speed-up")
    .option("--interval <n>", "uniform: every how many evaluations a block computes", positiveInteger)
    .addOption(kindsOption("which kinds may be cached (default: transformer)"))
    .requiredOption("--out <file>", ".json, or .csv for a table of 1 (computes) and 0 (reuses)")
    .action(async (path: string, options: ScheduleCommandOptions) => {
      const profile = await loadProfile(path);
      const costs = options.costs === undefined ? undefined : await loadCosts(options.costs);
      if (costs !== undefined && costs.setting.fingerprint !== profile.setting.model.fingerprint) {
        throw new ArgumentError(`--costs: ${options.costs} was measured on another model than ${path} — run \`blockcache costs\` on ${profile.setting.model.name}`);
      }
      const schedule = find(profile, costs, options);
      if (options.out.endsWith(".csv")) await replaceFile(options.out, (temporary) => writeFile(temporary, scheduleCsv(schedule)));
      else await saveSchedule(options.out, schedule);
      const speedup = costs === undefined ? undefined : predictSpeedup(costs, schedule);
      const share = computedShare(schedule);
      const predicted = speedup === undefined ? "" : `, predicted speed-up ${speedup.toFixed(2)}`;
      print(options, { out: options.out, heuristic: schedule.heuristic, computedShare: share, predictedSpeedup: speedup }, [
        `${options.out}: ${Object.keys(schedule.blocks).length} blocks compute ${(100 * share).toFixed(0)} % of ${schedule.timesteps.length} evaluations${predicted}`,
        ...(share === 1 ? ["nothing is reused: every block computes at every step — a larger δ or interval reuses more"] : []),
      ]);
    });
}

function find(profile: Profile, costs: Costs | undefined, { heuristic, delta, interval, speedup, kinds }: ScheduleCommandOptions): Schedule {
  if (heuristic === "uniform") {
    if (interval === undefined) throw new ArgumentError("schedule: --heuristic uniform needs --interval");
    return uniform(profile, { interval, kinds });
  }
  if (delta !== undefined && speedup === undefined) return threshold(profile, { delta, kinds });
  if (delta !== undefined || speedup === undefined) throw new ArgumentError("schedule: expected --delta or --speedup, one of them");
  if (costs === undefined) throw new ArgumentError("schedule: --speedup needs --costs — `blockcache costs <model> --out costs.safetensors` measures them");
  return withinBudget(heuristicNamed("threshold"), profile, { costs, speedup }, { kinds });
}
