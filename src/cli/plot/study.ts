import type { Command } from "commander";
import { Option } from "commander";
import { networkWork } from "../../caching/costs/networkWork.js";
import type { NetworkWork } from "../../caching/costs/networkWork.js";
import { COST_AXES } from "../../figures/charts/armCost.js";
import type { CostAxis } from "../../figures/charts/armCost.js";
import { pareto } from "../../figures/charts/pareto.js";
import { speedupScatter } from "../../figures/charts/speedupScatter.js";
import { tableOne } from "../../figures/charts/tableOne.js";
import { sweepCurves } from "../../figures/charts/sweepCurves.js";
import { DISTANCE_MEASURES } from "../../study/compare.js";
import type { DistanceMeasure } from "../../study/compare.js";
import { loadEvaluation } from "../../study/evaluation/evaluationFile.js";
import { loadStudy } from "../../study/resultFile.js";
import { UsageError, openPipeline, refuseWithout } from "../command.js";
import type { CommonOptions } from "../command.js";
import { loadReuseRules, ruleNames } from "../reuse.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

interface MeasuredOptions extends PlotOptions {
  readonly measure: DistanceMeasure;
}

interface ParetoCommandOptions extends MeasuredOptions {
  readonly x: CostAxis;
  readonly model?: string;
  readonly intervals?: boolean;
  readonly reuse?: string[];
}

async function workOf(model: string, options: CommonOptions): Promise<NetworkWork> {
  const pipeline = await openPipeline(model, options);
  try {
    return networkWork(pipeline);
  } finally {
    await pipeline.dispose();
  }
}

/** `blockcache plot pareto`, `sweep` and `speedup`: figures of a study; `table`: of an evaluation. */
export function studyCommands(): Command[] {
  const studyCommand = (name: string, description: string): Command =>
    figureCommand(
      name,
      `From a study: ${description}.`,
      `blockcache plot ${name} study.json --out ${name}.pdf --theme print`,
    ).argument("<study>", "what `blockcache sweep` wrote");
  const measureOption = (): Option =>
    new Option("--measure <name>", "latent: relative L2 of the latents; rms: of the pictures; dssim: (1 − SSIM) / 2")
      .choices(Object.keys(DISTANCE_MEASURES))
      .default("latent");
  return [
    studyCommand("pareto", "error against time of every arm, beside plain sampling with fewer steps")
      .addOption(measureOption())
      .option("--intervals", "95 % intervals over trajectories, and the range of the times")
      .addOption(
        new Option("--x <cost>", "measured or predicted time, or work: evaluations, multiply-adds")
          .choices(COST_AXES)
          .default("time"),
      )
      .option("--model <model>", "for --x multiply-adds: the model of the study, whose blocks are counted")
      .option(
        "--reuse <modules>",
        "for --x multiply-adds: your own reuse rules, the modules that the sweep was given, separated by commas",
        ruleNames,
      )
      .action(async (path: string, options: ParetoCommandOptions, given: Command) => {
        if ((options.x === "multiply-adds") !== (options.model !== undefined))
          throw new UsageError(
            "--x multiply-adds and --model: expected both or neither — multiply-adds are those of a model's blocks",
          );
        if (options.x !== "multiply-adds") refuseWithout(given, "--x multiply-adds", ["reuse"]);
        await loadReuseRules(options.reuse ?? []);
        const study = await loadStudy(path);
        const work = options.model === undefined ? undefined : await workOf(options.model, options);
        await writeFigure(pareto(study, { ...options, work }), options);
      }),
    studyCommand("sweep", "error and speed-up over the parameter of one heuristic (δ)")
      .addOption(measureOption())
      .option("--heuristic <name>", "the heuristic whose parameter is swept", "threshold")
      .action(async (path: string, options: MeasuredOptions & { readonly heuristic: string }) =>
        writeFigure(sweepCurves(await loadStudy(path), options), options),
      ),
    studyCommand("speedup", "predicted against realised speed-up").action(async (path: string, options: PlotOptions) =>
      writeFigure(speedupScatter(await loadStudy(path), options), options),
    ),
    figureCommand(
      "table",
      "From an evaluation: every metric and the speed of each setting beside the paper's own numbers (the paper's Table 1).",
      "blockcache plot table table-1 --out table-1.pdf --theme print",
    )
      .argument("<evaluation>", "what `blockcache evaluate` wrote")
      .action(async (path: string, options: PlotOptions) =>
        writeFigure(tableOne(await loadEvaluation(path), options), options),
      ),
  ];
}
