import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import { loadReuseFits } from "../caching/adjustment/reuseFitsFile.js";
import { computeProbability, probabilityCsv } from "../caching/schedule/computeProbability.js";
import type { Costs } from "../caching/costs/costs.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import { peakCacheBytes } from "../caching/run/executionPlan.js";
import { predictSeconds, predictSpeedup, speedupCeiling } from "../caching/costs/predictSeconds.js";
import { requireCostsOf } from "../caching/costs/requireCosts.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { saveSchedule, scheduleCsv } from "../caching/schedule/scheduleFile.js";
import type { Profile } from "../instrument/profile/profile.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { replaceFile } from "../files/replaceFile.js";
import { askedText } from "../study/table.js";
import { command, counted, mebibytes, positiveInteger, print, refuseWithout } from "./command.js";
import type { CommonOptions } from "./command.js";
import { findSchedule, withFinding } from "./findSchedule.js";
import type { FindOptions } from "./findSchedule.js";
import { loadHeuristic } from "./heuristic.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { loadReuseRule, reuseOption } from "./reuse.js";
import { isModulePath } from "./userModule.js";
import { applyEdits, withEdits } from "./scheduleEdits.js";
import type { EditOptions } from "./scheduleEdits.js";

interface ScheduleCommandOptions extends CommonOptions, FindOptions, EditOptions {
  readonly costs?: string;
  readonly reuse: string;
  readonly reuseFits?: string;
  readonly bootstrap?: string;
  readonly resamples: number;
  readonly out: string;
}

/** `blockcache schedule`: from a profile to a schedule. */
export function scheduleCommand(): Command {
  const schedule = command(
    "schedule",
    "Find a caching schedule from a profile.",
    "blockcache schedule profile.safetensors --delta 0.2 --out schedule.json",
  ).argument("<profile>", "what `blockcache profile` wrote");
  withFinding(schedule)
    .option(
      "--costs <file>",
      "what `blockcache costs` wrote, to predict the speed-up and its ceiling, and to count the cache's memory",
    )
    .addOption(reuseOption("the rule that the run will use, whose sums cost time"))
    .option(
      "--reuse-fits <file>",
      "what `blockcache fit-reuses` wrote: the run will be adjusted, and greedy and dynamic-programme count what that leaves of a reuse's error",
    );
  return withEdits(schedule)
    .addOption(
      outputFile(
        "--bootstrap <file>",
        ".csv to write: the probability that each cell computes, over resampled trajectories, before edits",
        [".csv"],
      ),
    )
    .option("--resamples <n>", "how often the bootstrap resamples", positiveInteger, 200)
    .addOption(
      outputFile(
        "--out <file>",
        ".json, or .csv for a table of 1 (computes) and 0 (reuses)",
        [".json", ".csv"],
        ".json",
      ).makeOptionMandatory(),
    )
    .action(async (path: string, options: ScheduleCommandOptions, given: Command) => {
      if (options.bootstrap === undefined) refuseWithout(given, "--bootstrap", ["resamples"]);
      // A user's own heuristic is given the rule, and may use it even without costs.
      if (options.costs === undefined && !isModulePath(options.heuristic)) refuseWithout(given, "--costs", ["reuse"]);
      const profile = await loadProfile(path);
      const heuristic = await loadHeuristic(options.heuristic);
      const reuse = await loadReuseRule(options.reuse);
      const costs = options.costs === undefined ? undefined : await loadCosts(options.costs);
      if (costs !== undefined) requireCostsOf(costs, profile.setting.model, profile.setting.latent_size);
      const fits = options.reuseFits === undefined ? undefined : await loadReuseFits(options.reuseFits);
      const find = (from: Profile): Schedule => findSchedule(heuristic, from, costs, reuse, options, fits);
      const found = await applyEdits(find(profile), options);
      const named: Schedule =
        found.profile === undefined ? found : { ...found, profile: { ...found.profile, name: basename(path) } };
      if (options.out.toLowerCase().endsWith(".csv"))
        await replaceFile(options.out, (temporary) => writeFile(temporary, scheduleCsv(named)));
      else await saveSchedule(options.out, named);
      if (options.bootstrap !== undefined) await bootstrap(options.bootstrap, profile, find, options.resamples);
      report(named, costs, reuse, options);
    });
}

function report(schedule: Schedule, costs: Costs | undefined, reuse: ReuseRule, options: ScheduleCommandOptions): void {
  const share = computedShare(schedule);
  const predicted = costs && {
    speedup: predictSpeedup(costs, schedule, reuse),
    seconds: predictSeconds(costs, schedule, reuse),
    rows: costs.setting.rows,
    ceiling: speedupCeiling(costs, schedule, Object.keys(schedule.blocks)),
  };
  const cacheBytes =
    costs === undefined ? undefined : peakCacheBytes(costs.network, schedule, costs.setting.rows, reuse);
  const { speedup: asked } = schedule.heuristic;
  const said = [
    `${options.out}: ${counted(Object.keys(schedule.blocks).length, "block")}, computing ${(100 * share).toFixed(0)} % of ${counted(schedule.timesteps.length, "evaluation")}`,
    ...(predicted === undefined
      ? []
      : [
          `${typeof asked === "number" ? `asked for a speed-up of ${askedText(asked)}, ` : ""}predicted speed-up ${predicted.speedup.toFixed(2)} of at most ${predicted.ceiling.toFixed(2)} with these blocks, ${predicted.seconds.toFixed(3)} s per sampling of ${counted(predicted.rows, "row")}`,
        ]),
    ...(cacheBytes === undefined ? [] : [`at most ${mebibytes(cacheBytes)} kept`]),
  ];
  print(
    options,
    {
      out: options.out,
      heuristic: schedule.heuristic,
      computedShare: share,
      askedSpeedup: asked,
      predictedSpeedup: predicted?.speedup,
      ceiling: predicted?.ceiling,
      predictedSeconds: predicted?.seconds,
      peakCacheBytes: cacheBytes,
    },
    [
      said.join(", "),
      ...(share === 1
        ? ["nothing is reused: every block computes at every step — a larger δ or interval reuses more"]
        : []),
    ],
  );
}

async function bootstrap(
  path: string,
  profile: Profile,
  findAgain: (profile: Profile) => Schedule,
  resamples: number,
): Promise<void> {
  const progress = createProgress("resampling", "schedules");
  try {
    const probability = computeProbability(profile, findAgain, { resamples, onProgress: progress.update });
    await replaceFile(path, (temporary) => writeFile(temporary, probabilityCsv(probability)));
  } finally {
    progress.stop();
  }
}
