import type { Command } from "commander";
import { loadSchedule } from "../../caching/schedule/scheduleFile.js";
import { scheduleChart } from "../../figures/charts/scheduleChart.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

/** `blockcache plot schedule` */
export function scheduleCommand(): Command {
  return figureCommand(
    "schedule",
    "From a schedule: when each block computes, and how long its cache lives (the paper's Figure 4).",
    "blockcache plot schedule schedule.json --out schedule.png",
  )
    .argument("<schedule>", "what `blockcache schedule` wrote")
    .action(async (path: string, options: PlotOptions) =>
      writeFigure(scheduleChart(await loadSchedule(path), { theme: options.theme }), options),
    );
}
