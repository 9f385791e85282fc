import { rm } from "node:fs/promises";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { TERMS } from "../caching/adjustment/adjustment.js";
import type { FittedCell, Term } from "../caching/adjustment/adjustment.js";
import { saveAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { PARAMETER_KINDS } from "../caching/adjustment/adjustmentParameters.js";
import type { ParameterKind } from "../caching/adjustment/adjustmentParameters.js";
import { distilAdjustment } from "../caching/adjustment/distil.js";
import { LOSSES } from "../caching/adjustment/distillationLoss.js";
import type { DistillationLoss } from "../caching/adjustment/distillationLoss.js";
import { FIT_HALVES } from "../caching/adjustment/cellSums.js";
import type { FitHalves } from "../caching/adjustment/cellSums.js";
import { FIT_TARGETS } from "../caching/adjustment/teacher.js";
import type { FitTarget } from "../caching/adjustment/teacher.js";
import { fitAdjustment } from "../caching/adjustment/fitAdjustment.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import { isStream, outputPlace } from "../files/outputPlace.js";
import { distinctTrajectories } from "../instrument/profile/trajectories.js";
import { judgeAdjustment } from "../study/judgeAdjustment.js";
import type { JudgedAdjustment } from "../study/judgeAdjustment.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  finiteNumber,
  integerList,
  openPipeline,
  positiveInteger,
  print,
} from "./command.js";
import type { CommonOptions, SizeOptions } from "./command.js";
import { outputFile } from "./outputs.js";
import { createProgress } from "./progress.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";
import { loadReuseRule, reuseOption } from "./reuse.js";

interface AdjustCommandOptions extends CommonOptions, SizeOptions {
  readonly schedule: string;
  readonly prompts: string;
  readonly seeds: number[];
  readonly testPrompts?: string;
  readonly method: "closed-form" | "distil";
  readonly iterations?: number;
  readonly loss?: DistillationLoss;
  readonly parameters?: ParameterKind;
  readonly rate?: number;
  readonly terms?: Term[];
  readonly halves?: FitHalves;
  readonly target?: FitTarget;
  readonly per: "channel" | "block";
  readonly negativePrompt?: string;
  readonly batch: number;
  readonly reuse: string;
  readonly out: string;
}

/** `blockcache adjust`: fits per-channel coefficients that correct what stands in for a reused block. */
export function adjustCommand(): Command {
  return command(
    "adjust",
    "Fit a scale and a shift for each channel, so that a reused block's stand-in is nearer to what it would have computed. If interrupted, run it again to continue.",
    "blockcache adjust fluent-ldm --schedule schedule.json --prompts fit.txt --seeds 0 --out adjustment.safetensors",
  )
    .argument("<model>", MODEL)
    .requiredOption("--schedule <file>", "what `blockcache schedule` wrote")
    .requiredOption("--prompts <file>", `${PROMPT_FILE}; eight or more are better`)
    .option("--seeds <list>", "each prompt from each seed's noise", integerList, [0])
    .option("--test-prompts <file>", "other prompts: their final latents with and without it are compared at the end")
    .addOption(
      new Option(
        "--method <name>",
        "closed-form: least squares; distil: then trained from there by gradients, as the paper does (minutes to hours)",
      )
        .choices(["closed-form", "distil"])
        .default("closed-form"),
    )
    .option("--iterations <n>", "distil: samplings in all (default: 36)", positiveInteger)
    .addOption(
      new Option(
        "--loss <name>",
        "distil: output: what guidance makes of the network's output; blocks: what each block gives, as the paper has it; latents: the final latents, by gradients through the whole sampling (default: output)",
      ).choices(LOSSES),
    )
    .addOption(
      new Option(
        "--parameters <kind>",
        "distil: the table of coefficients, or a linear layer on the timestep's embedding (default: table)",
      ).choices(PARAMETER_KINDS),
    )
    .option("--rate <rate>", "distil: Adam's first learning rate (default: 0.003)", finiteNumber)
    .option("--terms <list>", `what is fitted, of ${TERMS.join(", ")} (default: scale,shift as in the paper)`, termList)
    .addOption(
      new Option(
        "--halves <how>",
        "balanced: both guidance halves have the same coefficients, fitted to what guidance makes of them and, with less weight, to the halves themselves; guided: only to the former; together: only to the halves; apart: each half has its own (default: balanced)",
      ).choices(FIT_HALVES),
    )
    .addOption(
      new Option(
        "--target <what>",
        "branch: stand-ins are fitted to what the block would compute; out: to what makes its output the teacher's, so that they also correct what reused blocks before it did (default: branch)",
      ).choices(FIT_TARGETS),
    )
    .addOption(
      new Option("--per <what>", "whether each channel has its own coefficients, or all channels of a block share them")
        .choices(["channel", "block"])
        .default("channel"),
    )
    .option(
      "--negative-prompt <text>",
      "the one that the adjustment will be used with (default: as in `blockcache sample`)",
    )
    .option("--height <pixels>", "default: what the model was trained at", positiveInteger)
    .option("--width <pixels>", "with --height: both or neither", positiveInteger)
    .option("--batch <n>", "trajectories sampled together", positiveInteger, 4)
    .addOption(reuseOption("what stands in for a block, before it is corrected"))
    .addOption(
      outputFile("--out <file>", "safetensors to write; an unfinished one of the same setting is continued", [
        ".safetensors",
      ]).makeOptionMandatory(),
    )
    .action(async (model: string, options: AdjustCommandOptions, given: Command) => {
      const training = ["iterations", "loss", "parameters", "rate"].find(
        (name) => given.getOptionValueSource(name) === "cli",
      );
      if (options.method === "closed-form" && training !== undefined)
        throw new UsageError(`adjust: --${training} goes with --method distil`);
      const reuse = await loadReuseRule(options.reuse);
      const schedule = await loadSchedule(options.schedule);
      const prompts = await readPrompts(options.prompts);
      const testPrompts = options.testPrompts === undefined ? undefined : await readPrompts(options.testPrompts);
      const pipeline = await openPipeline(model, options);
      const progress = createProgress("fitting", "evaluations");
      const distilling = createProgress("distilling", "samplings");
      const { terms, halves, target, per, batch } = options;
      const { seeds, negativePrompt, height, width } = options;
      const sampling = { prompts, seeds, negativePrompt, height, width, reuse, signal: abortOnInterrupt() };
      const distils = options.method === "distil";
      try {
        // A device or a pipe gets the adjustment once, at the end.
        const keeps = !isStream(await outputPlace(options.out));
        const closedForm = await fitAdjustment(pipeline, schedule, {
          ...{ ...sampling, terms, halves, target, per, batch },
          file: keeps ? `${options.out}${distils ? ".closed-form" : ""}` : undefined,
          onProgress: progress.update,
        });
        progress.stop();
        const { iterations, loss, parameters, rate } = options;
        const adjustment = distils
          ? await distilAdjustment(pipeline, schedule, closedForm, {
              ...{ ...sampling, iterations, loss, parameters, rate },
              file: keeps ? `${options.out}.state` : undefined,
              onProgress: distilling.update,
            })
          : closedForm;
        await saveAdjustment(options.out, adjustment);
        if (keeps && distils)
          for (const kept of [".closed-form", ".state"]) await rm(`${options.out}${kept}`, { force: true });
        distilling.stop();
        const judged =
          testPrompts === undefined
            ? undefined
            : await judgeAdjustment(pipeline, schedule, adjustment, {
                trajectories: distinctTrajectories(pipeline, testPrompts, seeds),
                sampling: { negativePrompt, height, width },
                ...{ reuse, signal: sampling.signal },
              });
        const errors = meanErrors(Object.values(closedForm.report).flat());
        const losses = adjustment.fit.losses as number[] | undefined;
        print(options, { out: options.out, ...errors, losses, test: judged }, [
          `${options.out}: relative squared error of ${errors.cells} stand-ins ${errors.before.toFixed(4)} before; ${errors.fitted.toFixed(4)} after on the prompts of the fit, ${errors.heldOut.toFixed(4)} on prompts held out; ${errors.leftOut} left as they were`,
          ...(losses === undefined
            ? []
            : [
                `distilled: loss ${losses[0].toPrecision(3)} at first, ${losses[losses.length - 1].toPrecision(3)} at last`,
              ]),
          ...(judged === undefined ? [] : judgement(judged)),
        ]);
      } finally {
        progress.stop();
        distilling.stop();
        await pipeline.dispose();
      }
    });
}

function meanErrors(cells: readonly FittedCell[]): {
  cells: number;
  leftOut: number;
  before: number;
  fitted: number;
  heldOut: number;
} {
  const mean = (of: (cell: FittedCell) => number): number =>
    cells.length === 0 ? 0 : cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length;
  return {
    cells: cells.length,
    leftOut: cells.filter(({ ridge }) => ridge === null).length,
    before: mean(({ before }) => before),
    fitted: mean(({ fitted }) => fitted),
    heldOut: mean(({ held_out }) => held_out),
  };
}

function judgement({ without, adjusted, removed, trajectories }: JudgedAdjustment): string[] {
  const nearer = adjusted.filter((each, index) => each < without[index]).length;
  const how =
    removed > 0
      ? `${(100 * removed).toFixed(0)} % of the caching error removed`
      : "it does not help on these prompts: sample without it, or fit on more prompts";
  return [
    ...trajectories.map(
      ({ prompt, seed }, index) =>
        `${prompt}, seed ${seed}: relative distance to the plain run ${without[index].toFixed(4)} without, ${adjusted[index].toFixed(4)} with`,
    ),
    `final latents: ${how}; nearer on ${nearer} of ${trajectories.length}`,
  ];
}

function termList(text: string): Term[] {
  return text.split(",").map((each) => {
    const term = TERMS.find((known) => known === each.trim());
    if (term === undefined) throw new InvalidArgumentError(`expected some of ${TERMS.join(", ")}, found "${each}".`);
    return term;
  });
}
