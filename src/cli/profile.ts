import type { Command } from "commander";
import { Option } from "commander";
import { solverNames } from "../diffusion/solvers/index.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import { isStream, outputPlace } from "../files/outputPlace.js";
import { PAPER_PRESET } from "../instrument/profile/paperPreset.js";
import { changeMemoryBytes, profileChange } from "../instrument/profile/profileChange.js";
import { loadProfile, mergeProfiles, saveProfile } from "../instrument/profile/profileFile.js";
import { distinctTrajectories, repeatedTrajectories } from "../instrument/profile/trajectories.js";
import { whileLocked } from "../files/whileLocked.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  counted,
  finiteNumber,
  integerList,
  mebibytes,
  openPipeline,
  positiveInteger,
  print,
  refuseBeside,
} from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";
import { redisOption, runnerFor } from "./redis.js";
import { schedulerConfigOption } from "./schedulerConfig.js";

interface ProfileCommandOptions extends CommonOptions, SizeOptions {
  readonly prompts?: string;
  readonly seeds?: number[];
  readonly steps: number;
  readonly solver?: SolverName;
  readonly schedulerConfig?: Readonly<Record<string, unknown>>;
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly batch: number;
  readonly pairWindow?: number;
  readonly preset?: "paper";
  readonly merge?: string[];
  readonly redis?: string;
  readonly out: string;
}

/** Options that say how to sample, by commander's names. */
const SAMPLING = [
  "prompts",
  "seeds",
  "steps",
  "solver",
  "schedulerConfig",
  "guidanceScale",
  "negativePrompt",
  "height",
  "width",
  "batch",
  "pairWindow",
  "preset",
  "redis",
  "device",
  "precision",
  "tf32",
  "threads",
  "config",
] as const;

/** `blockcache profile`: change of every block over prompts × seeds. */
export function profileCommand(): Command {
  return command(
    "profile",
    "Measure the change of every block's branch over many prompts and seeds. If interrupted, run it again to continue.",
    "blockcache profile fluent-ldm --prompts prompts.txt --seeds 0,1 --steps 20 --solver ddim --out profile.safetensors",
  )
    .argument("[model]", `${MODEL}; left out with --merge`)
    .option("--prompts <file>", PROMPT_FILE)
    .option("--seeds <list>", "seeds separated by commas", integerList)
    .option("--steps <n>", "num_inference_steps", positiveInteger, 20)
    .addOption(new Option("--solver <name>", "default: what the model's scheduler asks for").choices(solverNames))
    .addOption(schedulerConfigOption())
    .option("--guidance-scale <w>", "classifier-free guidance (default: 5)", finiteNumber)
    .option("--negative-prompt <text>", "default: the empty prompt, or what the model uses when there is none")
    .option("--height <pixels>", "default: what the model was trained at", positiveInteger)
    .option("--width <pixels>", "with --height: both or neither", positiveInteger)
    .option("--batch <n>", "trajectories sampled together", positiveInteger, 4)
    .option(
      "--pair-window <n>",
      "also measure change between all steps up to n apart, for the heuristics direct and smoothcache",
      positiveInteger,
    )
    .addOption(
      new Option("--preset <name>", "paper: as the paper measured, 32 prompts × 2 seeds at guidance 5").choices([
        "paper",
      ]),
    )
    .option("--merge <profiles...>", "join these profiles of the same setting instead of sampling")
    .addOption(redisOption())
    .addOption(
      outputFile("--out <file>", "safetensors to write; an unfinished one of the same setting is continued", [
        ".safetensors",
      ]).makeOptionMandatory(),
    )
    .action(async (model: string | undefined, options: ProfileCommandOptions, given: Command) => {
      if (options.merge !== undefined) {
        if (model !== undefined) throw new UsageError(`profile: the model ${model} has no effect beside --merge`);
        refuseBeside(given, "--merge", SAMPLING);
        const profiles = options.merge;
        const merged = await whileLocked(options.out, async () => {
          const joined = mergeProfiles(await Promise.all(profiles.map(loadProfile)));
          await saveProfile(options.out, joined);
          return joined;
        });
        print(options, { out: options.out, trajectories: merged.trajectories.length }, [
          `${options.out}: ${counted(merged.trajectories.length, "trajectory", "trajectories")}`,
        ]);
        return;
      }
      const preset = options.preset === "paper" ? PAPER_PRESET : undefined;
      const prompts = options.prompts === undefined ? preset?.prompts : await readPrompts(options.prompts);
      if (prompts === undefined) throw new UsageError("profile: expected --prompts prompts.txt or --preset paper");
      if (model === undefined) throw new UsageError("profile: expected a model");
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("profiling", "evaluations");
      try {
        const settings = {
          steps: options.steps,
          solver: options.solver,
          schedulerConfig: options.schedulerConfig,
          guidanceScale: options.guidanceScale ?? preset?.guidanceScale,
          negativePrompt: options.negativePrompt,
          height: options.height,
          width: options.width,
          batch: options.batch,
          pairWindow: options.pairWindow,
        };
        const seeds = options.seeds ?? preset?.seeds ?? [0];
        const kept = changeMemoryBytes(pipeline, settings);
        // A device or a pipe gets the profile once, at the end.
        const toStream = isStream(await outputPlace(options.out));
        const profile = await profileChange(pipeline, {
          ...settings,
          prompts,
          seeds,
          file: toStream ? undefined : options.out,
          runner: await runnerFor(options.redis, pipeline),
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        if (toStream) await saveProfile(options.out, profile);
        const { length } = profile.trajectories;
        const repeated = prompts.length * seeds.length - distinctTrajectories(pipeline, prompts, seeds).length;
        progress.stop();
        print(
          options,
          {
            out: options.out,
            trajectories: length,
            blocks: profile.blocks.length,
            steps: profile.setting.timesteps.length,
            keptBytes: kept,
            repeated,
          },
          [
            `${options.out}: change of ${counted(profile.blocks.length, "block")} over ${counted(profile.setting.timesteps.length, "network evaluation")}, ${counted(length, "trajectory", "trajectories")}, ${mebibytes(kept)} of branches kept`,
            ...(repeated === 0 ? [] : [`warning: ${repeatedTrajectories(repeated)}`]),
          ],
        );
      } finally {
        progress.stop();
      }
      await pipeline.dispose();
    });
}
