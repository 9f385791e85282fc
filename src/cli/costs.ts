import type { Command } from "commander";
import { COST_GROUPS, measureCosts } from "../caching/costs/costs.js";
import { saveCosts } from "../caching/costs/costsFile.js";
import { evaluationSeconds, pricesOf } from "../caching/costs/predictSeconds.js";
import { whileLocked } from "../files/whileLocked.js";
import { median } from "../instrument/profile/statistics.js";
import {
  MODEL,
  abortOnInterrupt,
  command,
  counted,
  latentSizeOf,
  openPipeline,
  positiveInteger,
  print,
} from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";

interface CostsCommandOptions extends CommonOptions, SizeOptions {
  readonly rows: number;
  readonly samples: number;
  readonly out: string;
}

/** `blockcache costs`: seconds that computing and reusing each block takes on this machine. */
export function costsCommand(): Command {
  return command(
    "costs",
    "Measure what computing and reusing each block costs on this machine; `blockcache schedule --speedup` reads it.",
    "blockcache costs fluent-ldm --rows 2 --out costs.safetensors",
  )
    .argument("<model>", MODEL)
    .option("--rows <n>", "rows of a network evaluation: twice the images with guidance", positiveInteger, 2)
    .option("--height <pixels>", "image height (default: what the model was trained at)", positiveInteger)
    .option("--width <pixels>", "image width", positiveInteger)
    .option("--samples <n>", "how many evaluations of each kind are timed", positiveInteger, 9)
    .addOption(outputFile("--out <file>", "safetensors to write", [".safetensors"]).makeOptionMandatory())
    .action(async (model: string, options: CostsCommandOptions) => {
      const pipeline = await openPipeline(model, options);
      const latentSize = latentSizeOf(options, pipeline) ?? pipeline.defaultLatentSize;
      const progress = createProgress("timing", "rounds");
      try {
        const costs = await whileLocked(options.out, async () => {
          const measured = await measureCosts(pipeline, {
            rows: options.rows,
            latentSize,
            samples: options.samples,
            onProgress: progress.update,
            signal: abortOnInterrupt(),
          });
          await saveCosts(options.out, measured);
          return measured;
        });
        progress.stop();
        const { text } = pricesOf(costs);
        const evaluation = evaluationSeconds(costs);
        const groups = Object.fromEntries(
          COST_GROUPS.map((group) => [
            group,
            Object.values(costs[group] ?? {}).reduce((sum, samples) => sum + median(samples), 0),
          ]),
        );
        print(
          options,
          {
            out: options.out,
            latentSize,
            secondsAnEvaluation: evaluation,
            secondsOfAllBlocks: groups,
            secondsOfText: text,
          },
          [
            `${options.out}: ${counted(Object.keys(costs.compute).length, "block")} at ${latentSize.join("×")} latents, ${milliseconds(evaluation)} per evaluation of ${counted(options.rows, "row")}, and ${milliseconds(text)} for the text once`,
            `all blocks together: ${Object.entries(groups)
              .map(([group, seconds]) => `${group} ${milliseconds(seconds)}`)
              .join(", ")}`,
          ],
        );
      } finally {
        progress.stop();
      }
      await pipeline.dispose();
    });
}

function milliseconds(seconds: number): string {
  return `${(1000 * seconds).toFixed(1)} ms`;
}
