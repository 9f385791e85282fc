import type { Command } from "commander";
import { Option } from "commander";
import { pareto } from "../../figures/charts/pareto.js";
import { speedupScatter } from "../../figures/charts/speedupScatter.js";
import { sweepCurves } from "../../figures/charts/sweepCurves.js";
import { DISTANCE_MEASURES } from "../../study/compare.js";
import type { DistanceMeasure } from "../../study/compare.js";
import { loadStudy } from "../../study/resultFile.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

interface MeasuredOptions extends PlotOptions {
  readonly measure: DistanceMeasure;
}

/** `blockcache plot pareto`, `sweep` and `speedup`: figures of a study. */
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
      .action(async (path: string, options: MeasuredOptions & { readonly intervals?: boolean }) =>
        writeFigure(pareto(await loadStudy(path), options), options),
      ),
    studyCommand("sweep", "error and speed-up over the parameter of one heuristic (δ)")
      .addOption(measureOption())
      .option("--heuristic <name>", "whose parameter", "threshold")
      .action(async (path: string, options: MeasuredOptions & { readonly heuristic: string }) =>
        writeFigure(sweepCurves(await loadStudy(path), options), options),
      ),
    studyCommand("speedup", "predicted against realised speed-up").action(async (path: string, options: PlotOptions) =>
      writeFigure(speedupScatter(await loadStudy(path), options), options),
    ),
  ];
}
