import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { replaceFile } from "../files/replaceFile.js";
import { METRICS } from "../quality/metrics.js";
import { DEFAULT_EXTRACTOR } from "../quality/features/extractor.js";
import { DEFAULT_METRICS, evaluate, evaluationCsv, evaluationTable } from "../study/evaluation/index.js";
import {
  MODEL,
  abortOnInterrupt,
  command,
  finiteNumber,
  integerList,
  openPipeline,
  positiveInteger,
  print,
} from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";
import { loadEvaluationSettings } from "./evaluationSettings.js";
import { outputFile, outputFolder } from "./outputs.js";
import { createProgress } from "./progress.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";
import { redisOption, runnerFor } from "./redis.js";
import { schedulerConfigOption } from "./schedulerConfig.js";

interface EvaluateCommandOptions extends CommonOptions, SizeOptions {
  readonly settings: string;
  readonly prompts: string;
  readonly seeds: number[];
  readonly out: string;
  readonly metrics: string[];
  readonly baseline?: string;
  readonly extractor: string;
  readonly clip: string;
  readonly reference?: string;
  readonly lpips?: string;
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly schedulerConfig?: Record<string, unknown>;
  readonly batch: number;
  readonly redis?: string;
  readonly csv?: string;
}

/** `blockcache evaluate`: the paper's Table 1, for your own settings and prompts. */
export function evaluateCommand(): Command {
  return command(
    "evaluate",
    "Make pictures by several settings and compare them: Fréchet distance, CLIP score and more, images/s, multiply-adds, with 95 % intervals (the paper's Table 1). If interrupted, run it again to continue.",
    "blockcache evaluate fluent-ldm --settings settings.json --prompts prompts.txt --seeds 0 --out table-1",
  )
    .argument("<model>", MODEL)
    .requiredOption(
      "--settings <file>",
      'JSON: a list of { "name", "solver", "steps" }; to cache, add "schedule": file, or "delta": number and "profile": file, and if you like "reuse", "kinds" and "adjustment": file',
    )
    .requiredOption("--prompts <file>", PROMPT_FILE)
    .option("--seeds <list>", "seeds separated by commas", integerList, [0])
    .addOption(
      outputFolder(
        "--out <folder>",
        "where everything is kept: pictures by setting, features, evaluation.json",
      ).makeOptionMandatory(),
    )
    .option("--metrics <list>", METRICS.map(({ name }) => name).join(", "), nameList, DEFAULT_METRICS)
    .option("--baseline <name>", "setting that the others are compared with (default: the first)")
    .option("--extractor <model>", "model for the features: any that `blockcache features` takes", DEFAULT_EXTRACTOR)
    .option("--clip <folder>", "model for the CLIP score", DEFAULT_EXTRACTOR)
    .option(
      "--reference <file>",
      "features of reference pictures (what the model should produce), by the same extractor (default with fluent-clip: its training pictures of the 3D style)",
    )
    .option("--lpips <file>", 'for the metric lpips: safetensors of lpips.LPIPS(net="alex").state_dict()')
    .option("--guidance-scale <number>", "for all settings (default: 5)", finiteNumber)
    .option("--negative-prompt <text>", "for all settings")
    .addOption(schedulerConfigOption())
    .option("--height <pixels>", "image height (default: what the model was trained at)", positiveInteger)
    .option("--width <pixels>", "image width", positiveInteger)
    .option("--batch <n>", "pictures sampled together", positiveInteger, 4)
    .addOption(redisOption())
    .addOption(outputFile("--csv <file>", "also write the table, with unrounded numbers", [".csv"]))
    .action(async (model: string, options: EvaluateCommandOptions) => {
      const settings = await loadEvaluationSettings(options.settings);
      const prompts = await readPrompts(options.prompts);
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("making pictures", "pictures");
      try {
        const evaluation = await evaluate(pipeline, {
          settings,
          prompts,
          seeds: options.seeds,
          folder: options.out,
          metrics: options.metrics,
          baseline: options.baseline,
          extractor: options.extractor,
          clip: options.clip,
          reference: options.reference,
          lpips: options.lpips,
          guidanceScale: options.guidanceScale,
          negativePrompt: options.negativePrompt,
          schedulerConfig: options.schedulerConfig,
          height: options.height,
          width: options.width,
          batch: options.batch,
          runner: await runnerFor(options.redis, pipeline),
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        progress.stop();
        const { csv } = options;
        if (csv !== undefined) await replaceFile(csv, (temporary) => writeFile(temporary, evaluationCsv(evaluation)));
        print(options, evaluation, evaluationTable(evaluation));
      } finally {
        progress.stop();
        await pipeline.dispose();
      }
    });
}

function nameList(text: string): string[] {
  return text.split(",").map((name) => name.trim());
}
