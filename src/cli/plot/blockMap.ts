import type { Command } from "commander";
import { blockMapChart } from "../../figures/charts/blockMapChart.js";
import { blockMap, timeBlocks } from "../../instrument/blockMap.js";
import { MODEL, openPipeline } from "../command.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

/** `blockcache plot block-map` */
export function blockMapCommand(): Command {
  return figureCommand(
    "block-map",
    "A drawing of the UNet with each block's share of time.",
    "blockcache plot block-map fluent-ldm --out map.png",
  )
    .argument("<model>", MODEL)
    .action(async (model: string, options: PlotOptions) => {
      const pipeline = await openPipeline(model, options);
      const seconds = await timeBlocks(pipeline);
      await writeFigure(
        blockMapChart(
          blockMap(pipeline).map((entry) => ({ ...entry, seconds: seconds.get(entry.id) })),
          { theme: options.theme },
        ),
        options,
      );
      await pipeline.dispose();
    });
}
