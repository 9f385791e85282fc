import type { Command } from "commander";
import { measureCosts } from "../caching/costs.js";
import { saveCosts } from "../caching/costsFile.js";
import { predictSeconds } from "../caching/predictSeconds.js";
import { MODEL, abortOnInterrupt, command, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { createProgress } from "./progress.js";

interface CostsCommandOptions extends CommonOptions {
  readonly rows: number;
  readonly samples: number;
  readonly out: string;
}

/** `blockcache costs`: seconds of every block's computing and reusing, on this machine. */
export function costsCommand(): Command {
  return command("costs", "Measure what computing and reusing each block costs on this machine; `blockcache schedule --speedup` reads it.", "blockcache costs fluent-ldm --rows 2 --out costs.safetensors")
    .argument("<model>", MODEL)
    .option("--rows <n>", "rows of a network evaluation: twice the images with guidance", positiveInteger, 2)
    .option("--samples <n>", "evaluations timed of each kind", positiveInteger, 9)
    .requiredOption("--out <file>", "safetensors to write")
    .action(async (model: string, options: CostsCommandOptions) => {
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("timing", "rounds");
      try {
        const costs = await measureCosts(pipeline, { rows: options.rows, samples: options.samples, onProgress: progress.update, signal: abortOnInterrupt() });
        await saveCosts(options.out, costs);
        progress.stop();
        const evaluation = predictSeconds(costs, { timesteps: [0], blocks: {} });
        print(options, { out: options.out, secondsAnEvaluation: evaluation }, [`${options.out}: ${Object.keys(costs.compute).length} blocks, ${(1000 * evaluation).toFixed(1)} ms an evaluation of ${options.rows} rows`]);
      } finally {
        progress.stop();
      }
      await pipeline.dispose();
    });
}
