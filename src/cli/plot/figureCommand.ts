/** What every `plot` command shares: files by their ending, and a theme. */
import type { Command } from "commander";
import { Option } from "commander";
import { FIGURE_FORMATS, exportFigure } from "../../figures/headless/export.js";
import type { PlotlyFigure } from "../../figures/figure.js";
import type { Theme } from "../../figures/theme.js";
import { command, print } from "../command.js";
import type { CommonOptions } from "../command.js";
import { outputFile } from "../outputs.js";

export interface PlotOptions extends CommonOptions {
  readonly out: string[];
  readonly theme: Theme;
}

export function figureCommand(usage: string, description: string, example: string): Command {
  return command(usage, description, example)
    .addOption(
      outputFile(
        "--out <files...>",
        `files to write, in the format that the ending says: ${FIGURE_FORMATS.join(", ")}`,
        FIGURE_FORMATS,
      ).makeOptionMandatory(),
    )
    .addOption(
      new Option(
        "--theme <name>",
        "light and dark: for a page or notebook of that kind; print: black on white, 7 pt text in a PDF",
      )
        .choices(["light", "dark", "print"])
        .default("light"),
    );
}

export async function writeFigure(figure: PlotlyFigure, options: PlotOptions): Promise<void> {
  for (const path of options.out) await exportFigure(figure, path, { theme: options.theme });
  print(
    options,
    { written: options.out },
    options.out.map((path) => `wrote ${path}`),
  );
}
