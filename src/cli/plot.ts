import { Command } from "commander";
import { exampleText } from "./command.js";
import { blockMapCommand } from "./plot/blockMap.js";
import { changeCommands } from "./plot/change.js";
import { pcaCommand } from "./plot/pca.js";
import { scheduleCommand } from "./plot/schedule.js";
import { studyCommands } from "./plot/study.js";

/** `blockcache plot`: figures as .html, .svg, .png, .pdf or .json, by the ending of --out. */
export function plotCommand(): Command {
  // It has no options of its own: commander would take those after a figure's name for them.
  const plot = new Command("plot")
    .description("Draw a figure: of a profile, a schedule, a study or a model.")
    .addHelpText("after", exampleText("blockcache plot change profile.safetensors --out curves.html curves.pdf"));
  for (const each of [...changeCommands(), scheduleCommand(), ...studyCommands(), blockMapCommand(), pcaCommand()])
    plot.addCommand(each);
  return plot;
}
