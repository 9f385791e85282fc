import type { Command } from "commander";
import { Option } from "commander";
import { changeCurves } from "../../figures/charts/changeCurves.js";
import { changeHeatMap } from "../../figures/charts/changeHeatMap.js";
import type { BlockKind } from "../../graphs/block.js";
import { MEASURES } from "../../instrument/profile/profile.js";
import type { Measure } from "../../instrument/profile/profile.js";
import { loadProfile } from "../../instrument/profile/profileFile.js";
import { kindsOption } from "../kinds.js";
import { figureCommand, writeFigure } from "./figureCommand.js";
import type { PlotOptions } from "./figureCommand.js";

interface ChangeOptions extends PlotOptions {
  readonly measure: Measure;
  readonly kinds?: BlockKind[];
}

/** `blockcache plot change` and `heat-map`: figures of a profile. */
export function changeCommands(): Command[] {
  return (
    [
      ["change", changeCurves, "change curves, one panel per stage of the network"],
      ["heat-map", changeHeatMap, "mean change, block × step"],
    ] as const
  ).map(([name, draw, what]) =>
    figureCommand(
      name,
      `From a profile: ${what}.`,
      `blockcache plot ${name} profile.safetensors --out ${name}.pdf --theme print`,
    )
      .argument("<profile>", "what `blockcache profile` wrote")
      .addOption(
        new Option(
          "--measure <name>",
          "change: relative L1, the paper's; change_cond, change_uncond: the same of one guidance half; change_l2: relative L2; cosine: similarity",
        )
          .choices(MEASURES)
          .default("change"),
      )
      .addOption(kindsOption("only these kinds of block"))
      .action(async (path: string, options: ChangeOptions) => {
        await writeFigure(draw(await loadProfile(path), options), options);
      }),
  );
}
