import type { Command } from "commander";
import { saveAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { loadReuseFits } from "../caching/adjustment/reuseFitsFile.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import { loadSchedule, saveSchedule } from "../caching/schedule/scheduleFile.js";
import { distinctTrajectories } from "../instrument/profile/trajectories.js";
import { refineOnTrajectory } from "../study/refineOnTrajectory.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  finiteNumber,
  integerList,
  openPipeline,
  positiveInteger,
  print,
  refuseWithout,
  seconds,
} from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { loadReuseRule, reuseOption } from "./reuse.js";

interface RefineCommandOptions extends CommonOptions, SizeOptions {
  readonly costs: string;
  readonly speedup?: number;
  readonly latency?: number;
  readonly prompt: string[];
  readonly negativePrompt?: string;
  readonly seeds: number[];
  readonly reuse: string;
  readonly reuseFits?: string;
  readonly adjustment?: string;
  readonly runs: number;
  readonly state?: string;
  readonly out: string;
}

/** `blockcache refine`: a schedule made better by the error of real cached runs. */
export function refineCommand(): Command {
  return command(
    "refine",
    "Search for a better schedule within a budget, by the final error of real cached runs.",
    'blockcache refine fluent-ldm schedule.json --costs costs.safetensors --speedup 1.5 --prompt "red apple" --state search.json --out refined.json',
  )
    .argument("<model>", MODEL)
    .argument("<schedule>", "where the search starts: what `blockcache schedule` wrote, within the budget")
    .requiredOption("--costs <file>", "what `blockcache costs` wrote")
    .option("--speedup <factor>", "the budget, as predicted", finiteNumber)
    .option("--latency <time>", "or the budget as seconds per sampling, such as 0.8s", seconds)
    .requiredOption("--prompt <text...>", "one or more prompts, sampled together in every run")
    .option("--seeds <list>", "each prompt from each seed's noise", integerList, [0])
    .option(
      "--negative-prompt <text>",
      "the one that the schedule will be used with (default: as in `blockcache sample`)",
    )
    .option(
      "--height <pixels>",
      "the one that the schedule will be used at (default: what the model was trained at)",
      positiveInteger,
    )
    .option("--width <pixels>", "with --height: both or neither", positiveInteger)
    .addOption(reuseOption("what stands in for a block that does not compute"))
    .option("--reuse-fits <file>", "what `blockcache fit-reuses` wrote: every run is adjusted by them")
    .addOption(
      outputFile(
        "--adjustment <file>",
        "to write, of these fits, for the schedule; `blockcache adjust` fits a nearer one",
        [".safetensors"],
      ),
    )
    .option("--runs <n>", "at most n cached samplings", positiveInteger, 300)
    .addOption(outputFile("--state <file>", "written after each run; the same command continues from it", [".json"]))
    .addOption(outputFile("--out <file>", "schedule to write", [".json"]).makeOptionMandatory())
    .action(async (model: string, path: string, options: RefineCommandOptions, given: Command) => {
      if (options.reuseFits === undefined) refuseWithout(given, "--reuse-fits", ["adjustment"]);
      if ((options.speedup === undefined) === (options.latency === undefined))
        throw new UsageError("refine: expected --speedup or --latency, one of them");
      const reuse = await loadReuseRule(options.reuse);
      const [start, costs] = [await loadSchedule(path), await loadCosts(options.costs)];
      const fits = options.reuseFits === undefined ? undefined : await loadReuseFits(options.reuseFits);
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("searching", "runs");
      try {
        const { schedule, adjustment, error, startError, runs } = await refineOnTrajectory(pipeline, start, {
          costs,
          speedup: options.speedup,
          seconds: options.latency,
          trajectories: distinctTrajectories(pipeline, options.prompt, options.seeds),
          sampling: { negativePrompt: options.negativePrompt, height: options.height, width: options.width },
          ...{ reuse, fits },
          runs: options.runs,
          file: options.state,
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        await saveSchedule(options.out, schedule);
        if (options.adjustment !== undefined && adjustment !== undefined)
          await saveAdjustment(options.adjustment, adjustment);
        progress.stop();
        print(options, { out: options.out, error, startError, runs }, [
          `${options.out}: relative error of the final latents ${error.toFixed(5)}, ${startError.toFixed(5)} at the start; ${runs} runs`,
        ]);
      } finally {
        progress.stop();
      }
      await pipeline.dispose();
    });
}
