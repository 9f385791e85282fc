import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { replaceFile } from "../files/replaceFile.js";
import { alignedTable } from "../study/table.js";
import { Survey, serveSurvey, votesCsv } from "../survey/index.js";
import type { Share, SurveyResult } from "../survey/index.js";
import { abortOnInterrupt, exampleText, nonNegativeInteger } from "./command.js";
import { checkOutputs, outputFile } from "./outputs.js";

interface SurveyCommandOptions {
  readonly a: string;
  readonly b: string;
  readonly port: number;
  readonly results?: boolean;
  readonly csv?: string;
  readonly json?: boolean;
}

/** `blockcache survey`: asks people, blind (the paper's Table 2). */
export function surveyCommand(): Command {
  return new Command("survey")
    .description(
      "Ask people which of two settings of an evaluation makes better pictures: serves a page on this machine, blind and with sides and order at random, until Ctrl-C; then prints the votes (the paper's Table 2).",
    )
    .argument("<folder>", "what `blockcache evaluate` filled")
    .requiredOption("--a <name>", "one setting of the evaluation")
    .requiredOption("--b <name>", "another one, about as fast")
    .option("--port <n>", "port of the page; 0: any that is free", nonNegativeInteger, 0)
    .option("--results", "only print what the votes so far say")
    .addOption(outputFile("--csv <file>", "write every vote", [".csv"]))
    .option("--json", 'for machines: one line { "url" } first, then one line with the result')
    .option("--verbose", "print the stack trace of an error")
    .hook("preAction", (_, called) => checkOutputs(called))
    .addHelpText("after", exampleText("blockcache survey table-1 --a plain-14 --b cached-20 --csv votes.csv"))
    .action(async (folder: string, options: SurveyCommandOptions) => {
      const survey = await Survey.open(folder, options.a, options.b);
      if (survey.warning !== undefined) process.stderr.write(`warning: ${survey.warning}\n`);
      if (options.results !== true) await serveUntilInterrupted(survey, options);
      const { csv } = options;
      if (csv !== undefined) {
        const text = votesCsv(survey.a, survey.b, await survey.votes(), survey.prompts);
        await replaceFile(csv, (temporary) => writeFile(temporary, text));
      }
      const result = await survey.result();
      process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : `${resultLines(result).join("\n")}\n`);
    });
}

async function serveUntilInterrupted(survey: Survey, { port, json }: SurveyCommandOptions): Promise<void> {
  const signal = abortOnInterrupt();
  const server = await serveSurvey(survey, port);
  process.stdout.write(
    json ? `${JSON.stringify({ url: server.url })}\n` : `${server.url}\nCtrl-C ends it and prints the votes\n`,
  );
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await server.close();
}

function resultLines(result: SurveyResult): string[] {
  const { a, b, votes, raters, excluded, consistency, agreement } = result;
  const row = (name: string, { votes: count, share, low, high }: Share): string[] => [
    name,
    String(count),
    `${percent(share)} (${percent(low)} to ${percent(high)})`,
  ];
  return [
    ...alignedTable([
      ["better", "votes", "share (95 %)"],
      row(a, result.a_wins),
      row("neither", result.ties),
      row(b, result.b_wins),
    ]),
    "",
    `${votes} votes by ${raters.length} raters${excluded.length === 0 ? "" : `; left out, because they chose spoilt pictures: ${excluded.join(", ")}`}`,
    `agreement between raters (Krippendorff's α): ${agreement?.toFixed(2) ?? "–"}; the same choice when asked again: ${consistency === undefined ? "–" : percent(consistency)}`,
  ];
}

function percent(share: number): string {
  return Number.isNaN(share) ? "–" : `${(100 * share).toFixed(0)} %`;
}
