import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { loadCosts } from "../caching/costsFile.js";
import { reuseRule } from "../caching/reuseRule.js";
import type { Schedule } from "../caching/schedule.js";
import { transferTable } from "../caching/transfer.js";
import type { TransferRow } from "../caching/transfer.js";
import { ArgumentError } from "../errors.js";
import type { Profile } from "../instrument/profile.js";
import { loadProfile } from "../instrument/profileFile.js";
import { replaceFile } from "../models/replaceFile.js";
import { measureTransfer } from "../study/measureTransfer.js";
import type { MeasuredTransferRow } from "../study/measureTransfer.js";
import { abortOnInterrupt, command, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { cacheableOf, loadHeuristic, withHeuristic } from "./heuristic.js";
import type { HeuristicOptions } from "./heuristic.js";
import { createProgress } from "./progress.js";
import { reuseOption } from "./reuse.js";

interface TransferCommandOptions extends CommonOptions, HeuristicOptions {
  readonly costs?: string;
  readonly model?: string;
  readonly trajectories: number;
  readonly reuse: string;
  readonly out?: string;
}

/** `blockcache transfer`: how a schedule found on one profile does on the others. */
export function transferCommand(): Command {
  const transfer = command("transfer", "How a schedule found in one setting does in others: prompts, guidance, size, solver, steps.", "blockcache transfer steps20.safetensors steps50.safetensors --option delta=0.2").argument("<profiles...>", "what `blockcache profile` wrote, of one model; two or more");
  return withHeuristic(transfer)
    .option("--costs <file>", "for heuristics with a budget")
    .option("--model <model>", "also sample with this model, and measure how far each schedule is from the plain run")
    .option("--trajectories <n>", "with --model: how many of each profile's are sampled", positiveInteger, 2)
    .addOption(reuseOption("with --model: what stands in for a block that does not compute"))
    .option("--out <file>", ".csv to write")
    .action(async (paths: string[], options: TransferCommandOptions) => {
      const profiles = Object.fromEntries(await Promise.all(paths.map(async (path) => [basename(path, ".safetensors"), await loadProfile(path)] as const)));
      if (Object.keys(profiles).length < 2) throw new ArgumentError(`profiles: expected two or more of different names, found ${paths.join(", ")}`);
      const heuristic = await loadHeuristic(options.heuristic);
      const costs = options.costs === undefined ? {} : { costs: await loadCosts(options.costs) };
      const find = (profile: Profile): Schedule => heuristic.find(profile, { ...cacheableOf(options), ...options.option, ...costs });
      const rows = options.model === undefined ? transferTable(profiles, find) : await measured(options.model, profiles, find, options);
      const table = [["from", "to", "computed_share", "agreement", "missed", ...(options.model === undefined ? [] : ["distance"])], ...rows.map(cellsOf)];
      if (options.out !== undefined) await replaceFile(options.out, (temporary) => writeFile(temporary, `${table.map((row) => row.join(",")).join("\n")}\n`));
      const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
      print(options, rows, table.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()));
    });
}

async function measured(model: string, profiles: Readonly<Record<string, Profile>>, find: (profile: Profile) => Schedule, options: TransferCommandOptions): Promise<readonly MeasuredTransferRow[]> {
  const pipeline = await openPipeline(model, options);
  const progress = createProgress("sampling", "samplings");
  try {
    return await measureTransfer(pipeline, profiles, find, { trajectories: options.trajectories, reuse: reuseRule(options.reuse), onProgress: progress.update, signal: abortOnInterrupt() });
  } finally {
    progress.stop();
    await pipeline.dispose();
  }
}

function cellsOf(row: TransferRow | MeasuredTransferRow): string[] {
  const { from, to, computed_share: share, agreement, missed } = row;
  const distance = "distances" in row ? [(row.distances.reduce((sum, each) => sum + each, 0) / row.distances.length).toFixed(5)] : [];
  return [from, to, share.toFixed(3), agreement.toFixed(3), missed.toFixed(4), ...distance];
}
