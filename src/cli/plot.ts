import type { Command } from "commander";
import { command } from "./command.js";
import { blockMapCommand } from "./plot/blockMap.js";
import { changeCommands } from "./plot/change.js";
import { pcaCommand } from "./plot/pca.js";
import { scheduleCommand } from "./plot/schedule.js";
import { studyCommands } from "./plot/study.js";

/** `blockcache plot`: figures as .html, .svg, .png, .pdf or .json, by the ending of --out. */
export function plotCommand(): Command {
  const plot = command("plot", "Draw a figure: of a profile, a schedule, a study or a model.", "blockcache plot change profile.safetensors --out curves.html curves.pdf");
  for (const each of [...changeCommands(), scheduleCommand(), ...studyCommands(), blockMapCommand(), pcaCommand()]) plot.addCommand(each);
  return plot;
}
