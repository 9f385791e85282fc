/** What every `plot` command shares: files by their ending, and a theme. */
import type { Command } from "commander";
import { Option } from "commander";
import { exportFigure } from "../../figures/export.js";
import type { PlotlyFigure } from "../../figures/figure.js";
import type { Theme } from "../../figures/theme.js";
import { command, print } from "../command.js";
import type { CommonOptions } from "../command.js";

export interface PlotOptions extends CommonOptions {
  readonly out: string[];
  readonly theme: Theme;
}

export function figureCommand(usage: string, description: string, example: string): Command {
  return command(usage, description, example)
    .requiredOption("--out <files...>", "files to write; the ending says how: .html, .svg, .png, .pdf, .json")
    .addOption(new Option("--theme <name>", "").choices(["light", "dark", "print"]).default("light"));
}

export async function writeFigure(figure: PlotlyFigure, options: PlotOptions): Promise<void> {
  for (const path of options.out) await exportFigure(figure, path, { theme: options.theme });
  print(options, { written: options.out }, options.out.map((path) => `wrote ${path}`));
}
