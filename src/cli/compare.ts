import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { Option } from "commander";
import { replaceFile } from "../files/replaceFile.js";
import { chooseArms } from "../study/choose.js";
import type { Choice } from "../study/choose.js";
import { DISTANCE_MEASURES, compareArms } from "../study/compare.js";
import type { ComparedArm, DistanceMeasure } from "../study/compare.js";
import type { StudyResult } from "../study/result.js";
import { loadStudy } from "../study/resultFile.js";
import { comparisonCsv, comparisonTable, verdict } from "../study/table.js";
import { studyWarnings } from "../study/warnings.js";
import { command, counted, print } from "./command.js";
import type { CommonOptions } from "./command.js";
import { outputFile } from "./outputs.js";

interface CompareCommandOptions extends CommonOptions {
  readonly measure: DistanceMeasure;
  readonly csv?: string;
}

interface Comparison {
  readonly path: string;
  readonly study: StudyResult;
  readonly arms: readonly ComparedArm[];
  /** none for a study of one prompt */
  readonly choices: readonly Choice[];
  readonly warnings: readonly string[];
}

/** `blockcache compare`: cached, or plain with fewer steps, at equal latency? */
export function compareCommand(): Command {
  return command(
    "compare",
    "Cached, or plain with fewer steps? Each arm of a study at equal latency, with 95 % intervals over prompts × seeds; and what one half of the prompts chooses, reported on the other.",
    "blockcache compare study --csv study.csv",
  )
    .argument(
      "<studies...>",
      "folders that `blockcache sweep` filled, or their study.json; each becomes a table of its own",
    )
    .addOption(
      new Option(
        "--measure <name>",
        "latent: relative L2 of the latents; rms: error of the pictures; dssim: (1 − SSIM) / 2",
      )
        .choices(Object.keys(DISTANCE_MEASURES))
        .default("latent"),
    )
    .addOption(outputFile("--csv <file>", "also write all tables, one line for each arm", [".csv"]))
    .action(async (paths: string[], options: CompareCommandOptions) => {
      const comparisons = await Promise.all(
        paths.map(async (path): Promise<Comparison> => {
          const study = await loadStudy(path);
          const prompts = new Set(study.trajectories.map(({ prompt }) => prompt)).size;
          return {
            path,
            study,
            arms: compareArms(study, options.measure),
            choices: prompts > 1 ? chooseArms(study, options.measure) : [],
            warnings: studyWarnings(study),
          };
        }),
      );
      const { csv } = options;
      if (csv !== undefined)
        await replaceFile(csv, (temporary) =>
          writeFile(temporary, comparisonCsv(comparisons.map(({ path, study, arms }) => ({ path, study, arms })))),
        );
      print(
        options,
        { measure: options.measure, studies: comparisons.map(asJson) },
        comparisons.flatMap((comparison, index) => [
          ...(index === 0 ? [] : [""]),
          ...asText(comparison, options.measure),
        ]),
      );
    });
}

function asJson({ path, study, arms, choices, warnings }: Comparison): unknown {
  const { results: _, ...head } = study;
  const armJson = (compared: ComparedArm): unknown => {
    const { result, ...rest } = compared;
    return {
      name: result.arm.name,
      also: result.arm.also,
      askedSpeedups: result.arm.cached?.askedSpeedups,
      computedShare: result.computedShare,
      predictedSpeedup: result.predictedSpeedup,
      ...rest,
      verdict: verdict(compared),
    };
  };
  return {
    path,
    ...head,
    arms: arms.map(armJson),
    choices: choices.map(({ rule, chosenOn, reported }) => ({
      rule,
      chosenOn: chosenOn && armJson(chosenOn),
      reported: reported && armJson(reported),
    })),
    warnings,
  };
}

function asText({ path, study, arms, choices, warnings }: Comparison, measure: DistanceMeasure): string[] {
  const { model, solver, steps, timestep_spacing, guidance_scale, trajectories, converged_steps, machine } = study;
  const chosen = choices.filter(({ reported }) => reported !== undefined);
  return [
    `${path}: ${model.name}, ${solver}, ${counted(steps, "step")}, ${timestep_spacing}, guidance ${guidance_scale}, ${counted(trajectories.length, "trajectory", "trajectories")}; ${machine}`,
    `distance: ${measure}, to the ${converged_steps}-step solution from the same noise; ● no arm is both as fast and as near`,
    "",
    ...comparisonTable(arms),
    ...choices.filter(({ chosenOn }) => chosenOn === undefined).flatMap(({ rule }) => ["", `${rule}: none`]),
    ...chosen.flatMap(({ rule, reported }) =>
      reported === undefined
        ? []
        : [
            "",
            `${rule}; chosen on the first half of the prompts, reported on the others:`,
            ...comparisonTable([reported]),
          ],
    ),
    ...warnings.map((warning) => `warning: ${warning}`),
  ];
}
