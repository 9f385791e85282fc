import type { Command } from "commander";
import { fitReuses } from "../caching/adjustment/fitReuses.js";
import { saveReuseFits } from "../caching/adjustment/reuseFitsFile.js";
import { profileSampling } from "../caching/schedule/scheduleSampling.js";
import type { BlockKind } from "../graphs/block.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import { MODEL, abortOnInterrupt, command, integerList, openPipeline, positiveInteger, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { kindsOption } from "./kinds.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";

interface FitReusesCommandOptions extends CommonOptions {
  readonly profile: string;
  readonly prompts: string;
  readonly seeds: number[];
  readonly kinds?: BlockKind[];
  readonly window?: number;
  readonly batch: number;
  readonly out: string;
}

/** `blockcache fit-reuses`: what a search needs to know of reuses that will be adjusted. */
export function fitReusesCommand(): Command {
  return command(
    "fit-reuses",
    "Fit a scale and a shift to every reuse that a schedule may have, for searches whose schedule will be adjusted: schedule --reuse-fits, refine --reuse-fits.",
    "blockcache fit-reuses fluent-ldm --profile profile.safetensors --prompts fit.txt --out fits.safetensors",
  )
    .argument("<model>", MODEL)
    .requiredOption("--profile <file>", "what `blockcache profile` wrote: the runs are sampled as it was")
    .requiredOption("--prompts <file>", `${PROMPT_FILE}; eight or more are better`)
    .option("--seeds <list>", "each prompt from each seed's noise", integerList, [0])
    .addOption(kindsOption("which kinds may be cached (default: transformer)"))
    .option("--window <n>", "the oldest value that stands in, in evaluations (default: all)", positiveInteger)
    .option("--batch <n>", "trajectories sampled together", positiveInteger, 2)
    .addOption(outputFile("--out <file>", "safetensors to write", [".safetensors"]).makeOptionMandatory())
    .action(async (model: string, options: FitReusesCommandOptions) => {
      const { setting } = await loadProfile(options.profile);
      const prompts = await readPrompts(options.prompts);
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("fitting", "evaluations");
      try {
        const { seeds, kinds, window, batch } = options;
        const fits = await fitReuses(pipeline, {
          ...profileSampling(setting, pipeline.vaeScaleFactor),
          ...{ prompts, seeds, kinds, window, batch },
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        await saveReuseFits(options.out, fits);
        progress.stop();
        const blocks = Object.keys(fits.blocks).length;
        print(options, { out: options.out, blocks, window: fits.window, trajectories: fits.trajectories.length }, [
          `${options.out}: reuses of ${blocks} blocks up to ${fits.window} evaluations old, fitted on ${fits.trajectories.length} trajectories`,
        ]);
      } finally {
        progress.stop();
        await pipeline.dispose();
      }
    });
}
