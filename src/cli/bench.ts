import type { Command } from "commander";
import { Option } from "commander";
import { measureCosts } from "../caching/costs/costs.js";
import type { Costs } from "../caching/costs/costs.js";
import { evaluationSeconds, predictSpeedup, speedupCeiling } from "../caching/costs/predictSeconds.js";
import { speedups, timeRealised } from "../caching/costs/realised.js";
import type { Realised } from "../caching/costs/realised.js";
import { regularSchedule } from "../caching/schedule/regularSchedule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { computedShare } from "../caching/schedule/schedule.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { timingInputs } from "../caching/costs/timingInputs.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { median } from "../instrument/profile/statistics.js";
import { alignedTable } from "../study/table.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  openPipeline,
  positiveInteger,
  print,
  refuseBeside,
} from "./command.js";
import type { CommonOptions } from "./command.js";
import { KINDS, kindSetOf } from "./kinds.js";
import { createProgress } from "./progress.js";
import { loadReuseRules, reuseListOption } from "./reuse.js";

interface BenchCommandOptions extends CommonOptions {
  readonly schedule?: string[];
  readonly kinds: string[];
  readonly interval: number;
  readonly reuse: string[];
  readonly rows: number;
  readonly rounds: number;
}

/** A schedule with a rule, and its timings, one per round. */
interface TimedArm {
  readonly name: string;
  readonly schedule: Schedule;
  readonly reuse: ReuseRule;
  readonly timings: Realised[];
}

/** `blockcache bench`: how much faster cached evaluations are on this machine. */
export function benchCommand(): Command {
  return command(
    "bench",
    "Time cached network evaluations beside plain ones on this machine: the ceiling, and for each schedule the predicted, the ideal and the realised speed-up.",
    "blockcache bench fluent-ldm --schedule schedule.json --reuse hold,linear --rows 16",
  )
    .argument("<model>", MODEL)
    .option(
      "--schedule <files...>",
      "schedules to time (default: every --interval-th evaluation computes, for each set of --kinds)",
    )
    .addOption(
      new Option(
        "--kinds <sets...>",
        `sets of kinds for the ceiling and for regular schedules, each of ${KINDS.join(", ")} joined by +, or all`,
      ).default(["transformer", "all"]),
    )
    .option("--interval <n>", "interval of the regular schedules", positiveInteger, 2)
    .addOption(reuseListOption("what stands in for a block that does not compute"))
    .option("--rows <n>", "rows of a network evaluation: twice the images with guidance", positiveInteger, 2)
    .option("--rounds <n>", "how many times each is timed, plain and cached in turn", positiveInteger, 5)
    .action(async (model: string, options: BenchCommandOptions, called: Command) => {
      if (options.schedule !== undefined) refuseBeside(called, "--schedule", ["interval"]);
      const rules = await loadReuseRules(options.reuse);
      const sets = options.kinds.map(kindSetOf);
      if (options.interval < 2) throw new UsageError("--interval: expected 2 or more: at 1 every evaluation computes");
      const given = await Promise.all(
        (options.schedule ?? []).map(async (path) => ({ label: path, schedule: await loadSchedule(path) })),
      );
      const pipeline = await openPipeline(model, options);
      const signal = abortOnInterrupt();
      const measuring = createProgress("measuring costs", "rounds");
      const progress = createProgress("timing", "rounds");
      try {
        const costs = await measureCosts(pipeline, { rows: options.rows, onProgress: measuring.update, signal });
        measuring.stop();
        const inputs = await timingInputs(pipeline, options.rows, pipeline.defaultLatentSize);
        const schedules =
          given.length > 0
            ? given
            : await Promise.all(
                sets.map(async ({ label, kinds }) => ({
                  label: `every ${options.interval}, ${label}`,
                  schedule: await regularSchedule(pipeline, {
                    kinds,
                    interval: options.interval,
                    steps: 2 * options.interval,
                  }),
                })),
              );
        const arms = schedules.flatMap(({ label, schedule }) =>
          rules.map((reuse): TimedArm => ({ name: `${label}, ${reuse.name}`, schedule, reuse, timings: [] })),
        );
        for (let round = 0; round < options.rounds; round++) {
          for (const [index, { schedule, reuse, timings }] of arms.entries()) {
            timings.push(await timeRealised(pipeline, schedule, { inputs, reuse, signal }));
            progress.update(round * arms.length + index + 1, options.rounds * arms.length);
          }
        }
        progress.stop();
        const evaluation = evaluationSeconds(costs);
        const ceilings = sets.map(({ label, kinds }) => ({
          kinds: label,
          speedup: ceilingOf(pipeline, costs, kinds, schedules[0].schedule),
        }));
        const rows = arms.map((arm) => summaryOf(arm, costs));
        print(options, { secondsAnEvaluation: evaluation, ceilings, arms: rows }, [
          `${(1000 * evaluation).toFixed(1)} ms per evaluation of ${options.rows} rows; ceiling over ${schedules[0].schedule.timesteps.length} evaluations: ${ceilings.map(({ kinds, speedup }) => `${kinds} ${speedup.toFixed(2)}`).join(", ")}`,
          ...table(rows),
        ]);
      } finally {
        measuring.stop();
        progress.stop();
      }
      await pipeline.dispose();
    });
}

function ceilingOf({ network }: Pipeline, costs: Costs, kinds: readonly string[], schedule: Schedule): number {
  return speedupCeiling(
    costs,
    schedule,
    network.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => id),
  );
}

interface Summary {
  readonly name: string;
  readonly computedShare: number;
  readonly predicted: number;
  readonly ideal: number;
  readonly realised: number;
  readonly realisedRange: readonly [least: number, most: number];
  readonly realisedOverIdeal: number;
  readonly timings: readonly Realised[];
}

function summaryOf({ name, schedule, reuse, timings }: TimedArm, costs: Costs): Summary {
  const reached = timings.map(speedups);
  const realised = reached.map((each) => each.realised);
  return {
    name,
    computedShare: computedShare(schedule),
    predicted: predictSpeedup(costs, schedule, reuse),
    ideal: median(reached.map(({ ideal }) => ideal)),
    realised: median(realised),
    realisedRange: [Math.min(...realised), Math.max(...realised)],
    realisedOverIdeal: median(reached.map(({ realised: each, ideal }) => each / ideal)),
    timings,
  };
}

function table(rows: readonly Summary[]): string[] {
  const cells = rows.map(
    ({ name, computedShare: share, predicted, ideal, realised, realisedRange: [least, most], realisedOverIdeal }) => [
      name,
      `${Math.round(100 * share)} %`,
      predicted.toFixed(2),
      ideal.toFixed(2),
      `${realised.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`,
      realisedOverIdeal.toFixed(2),
    ],
  );
  return alignedTable([["schedule", "computed", "predicted", "ideal", "realised", "realised ÷ ideal"], ...cells]);
}
