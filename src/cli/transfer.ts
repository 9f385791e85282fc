import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import type { Costs } from "../caching/costs/costs.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { transferTable } from "../caching/schedule/transfer.js";
import type { TransferRow } from "../caching/schedule/transfer.js";
import type { Profile } from "../instrument/profile/profile.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { mean } from "../instrument/profile/statistics.js";
import { replaceFile } from "../files/replaceFile.js";
import { measureTransfer } from "../study/measureTransfer.js";
import type { MeasuredTransferRow } from "../study/measureTransfer.js";
import { alignedTable } from "../study/table.js";
import {
  UsageError,
  abortOnInterrupt,
  command,
  openPipeline,
  positiveInteger,
  print,
  refuseWithout,
} from "./command.js";
import type { CommonOptions } from "./command.js";
import { findSchedule, withFinding } from "./findSchedule.js";
import type { FindOptions } from "./findSchedule.js";
import { loadHeuristic } from "./heuristic.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { loadReuseRule, reuseOption } from "./reuse.js";
import { isModulePath } from "./userModule.js";

interface TransferCommandOptions extends CommonOptions, FindOptions {
  readonly costs?: string[];
  readonly model?: string;
  readonly trajectories: number;
  readonly reuse: string;
  readonly out?: string;
}

/** `blockcache transfer`: how a schedule found on one profile does on the others. */
export function transferCommand(): Command {
  const transfer = command(
    "transfer",
    "Show how a schedule found in one setting does in others: prompts, guidance, size, solver, steps.",
    "blockcache transfer steps20.safetensors steps50.safetensors --delta 0.2",
  ).argument("<profiles...>", "what `blockcache profile` wrote, of one model; two or more");
  return withFinding(transfer)
    .option(
      "--costs <files...>",
      "for heuristics with a budget: what `blockcache costs` wrote, one for each size of the profiles",
    )
    .option("--model <model>", "also sample with this model, and measure how far each schedule is from the plain run")
    .option(
      "--trajectories <n>",
      "with --model: how many of each profile's trajectories are sampled",
      positiveInteger,
      2,
    )
    .addOption(reuseOption("what stands in for a block that does not compute"))
    .addOption(outputFile("--out <file>", ".csv to write", [".csv"]))
    .action(async (paths: string[], options: TransferCommandOptions, given: Command) => {
      if (options.model === undefined) refuseWithout(given, "--model", ["trajectories"]);
      if (options.model === undefined && options.costs === undefined && !isModulePath(options.heuristic))
        refuseWithout(given, "--model or --costs", ["reuse"]);
      const names = paths.map((path) => basename(path, ".safetensors"));
      if (paths.length < 2 || new Set(names).size < names.length)
        throw new UsageError(`profiles: expected two or more of different file names, found ${paths.join(", ")}`);
      const profiles = Object.fromEntries(
        await Promise.all(paths.map(async (path, index) => [names[index], await loadProfile(path)] as const)),
      );
      const heuristic = await loadHeuristic(options.heuristic);
      const reuse = await loadReuseRule(options.reuse);
      const costs = await Promise.all((options.costs ?? []).map(loadCosts));
      const find = (profile: Profile): Schedule =>
        findSchedule(heuristic, profile, costsFor(profile, costs), reuse, options);
      const rows =
        options.model === undefined
          ? transferTable(profiles, find)
          : await measured(options.model, profiles, find, reuse, options);
      const table = [
        ["from", "to", "computed_share", "agreement", "missed", ...(options.model === undefined ? [] : ["distance"])],
        ...rows.map(cellsOf),
      ];
      if (options.out !== undefined)
        await replaceFile(options.out, (temporary) =>
          writeFile(temporary, `${table.map((row) => row.join(",")).join("\n")}\n`),
        );
      print(options, rows, alignedTable(table, table[0].length));
    });
}

/** The costs of the profile's own size. Throws ArgumentError where costs are given, but none for its model and size. */
function costsFor({ setting }: Profile, costs: readonly Costs[]): Costs | undefined {
  const own = costs.find((each) => each.setting.latent_size.join() === setting.latent_size.join()) ?? costs[0];
  if (own !== undefined) requireCostsOf(own, setting.model, setting.latent_size);
  return own;
}

async function measured(
  model: string,
  profiles: Readonly<Record<string, Profile>>,
  find: (profile: Profile) => Schedule,
  reuse: ReuseRule,
  options: TransferCommandOptions,
): Promise<readonly MeasuredTransferRow[]> {
  const pipeline = await openPipeline(model, options);
  const progress = createProgress("sampling", "samplings");
  try {
    return await measureTransfer(pipeline, profiles, find, {
      trajectories: options.trajectories,
      reuse,
      onProgress: progress.update,
      signal: abortOnInterrupt(),
    });
  } finally {
    progress.stop();
    await pipeline.dispose();
  }
}

function cellsOf(row: TransferRow | MeasuredTransferRow): string[] {
  const { from, to, computed_share: share, agreement, missed } = row;
  const distance = "distances" in row ? [mean(row.distances).toFixed(5)] : [];
  return [from, to, share.toFixed(3), agreement.toFixed(3), missed.toFixed(4), ...distance];
}
