import { basename } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError, Option } from "commander";
import { loadAdjustment } from "../caching/adjustment/adjustmentFile.js";
import { loadCosts } from "../caching/costs/costsFile.js";
import type { NamedHeuristic } from "../caching/heuristics/registry.js";
import { costsCaveats, requireCostsOf } from "../caching/costs/requireCosts.js";
import { loadSchedule } from "../caching/schedule/scheduleFile.js";
import { planEvaluations } from "../diffusion/plannedEvaluations.js";
import { solverNames } from "../diffusion/solvers/index.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import { ArgumentError } from "../errors.js";
import { loadProfile } from "../instrument/profile/profileFile.js";
import type { Profile } from "../instrument/profile/profile.js";
import { adjustmentReference } from "../study/armAdjustment.js";
import { runStudy } from "../study/runStudy.js";
import { sweepArms } from "../study/sweepArms.js";
import { studyWarnings } from "../study/warnings.js";
import {
  MODEL,
  UsageError,
  abortOnInterrupt,
  command,
  counted,
  finiteNumber,
  integerList,
  openPipeline,
  positiveInteger,
  print,
  refuseWithout,
} from "./command.js";
import type { CommonOptions } from "./command.js";
import { HEURISTIC_NAMES, loadHeuristic } from "./heuristic.js";
import { KINDS, kindSetOf } from "./kinds.js";
import { outputFolder } from "./outputs.js";
import { createProgress } from "./progress.js";
import { PROMPT_FILE, readPrompts } from "./promptFile.js";
import { redisOption, runnerFor } from "./redis.js";
import { loadReuseRules, reuseListOption } from "./reuse.js";

interface SweepCommandOptions extends CommonOptions {
  readonly profile: string;
  readonly heuristic?: string[];
  readonly schedule?: string[];
  readonly adjustment?: string[];
  readonly deltas?: number[];
  readonly values?: Readonly<Record<string, readonly number[]>>;
  readonly kinds: string[];
  readonly reuse: string[];
  readonly plainSteps?: number[];
  readonly prompts: string;
  readonly seeds: number[];
  readonly steps?: number;
  readonly solver?: SolverName;
  readonly timestepSpacing?: string;
  readonly convergedSteps: number;
  readonly batch: number;
  readonly repeats: number;
  readonly costs?: string;
  readonly redis?: string;
  readonly out: string;
}

/** Plain arms by default: these shares of the steps, for the comparison at equal latency. */
const PLAIN_SHARES = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** `blockcache sweep`: many schedules and plain runs on the same trajectories. */
export function sweepCommand(): Command {
  return command(
    "sweep",
    "Measure many cached settings and plain runs against a near-converged solution on the same prompts and seeds. If interrupted, run it again to continue.",
    "blockcache sweep fluent-ldm --profile profile.safetensors --heuristic threshold --deltas 0.05,0.1,0.2 --reuse hold,linear --kinds transformer all --prompts prompts.txt --seeds 0,1 --out study",
  )
    .argument("<model>", MODEL)
    .requiredOption(
      "--profile <file>",
      "what `blockcache profile` wrote; every arm is sampled as the profile was: solver, scheduler config, steps, guidance and size",
    )
    .option("--heuristic <names...>", `${HEURISTIC_NAMES} (default: threshold; none with --schedule)`)
    .option(
      "--schedule <files...>",
      "schedules as further arms, with each --reuse rule, such as edited ones or ones for other numbers of steps; they must be for the profile's solver",
    )
    .option(
      "--adjustment <files...>",
      "a further arm for each: the schedule that it was fitted for, with its stand-ins corrected",
    )
    .option("--deltas <list>", "values of δ, for every heuristic that has one", numberList)
    .option(
      "--values <name=list...>",
      "values of a heuristic's parameter, such as uniform=2,3,4 (default: its own)",
      namedLists,
    )
    .addOption(
      new Option(
        "--kinds <sets...>",
        `sets of kinds that may be cached, each of ${KINDS.join(", ")} joined by +, or all`,
      ).default(["transformer"]),
    )
    .addOption(reuseListOption("what stands in for a block that does not compute"))
    .option(
      "--plain-steps <list>",
      "plain arms beside the cached ones (default: 30 % to 90 % of the steps)",
      integerList,
    )
    .requiredOption("--prompts <file>", PROMPT_FILE)
    .option("--seeds <list>", "seeds separated by commas", integerList, [0])
    .option("--steps <n>", "num_inference_steps; must be the profile's", positiveInteger)
    .addOption(new Option("--solver <name>", "must be the profile's").choices(solverNames))
    .addOption(
      new Option("--timestep-spacing <name>", "must be the profile's").choices(["leading", "linspace", "trailing"]),
    )
    .option("--converged-steps <n>", "num_inference_steps of the near-converged reference", positiveInteger, 200)
    .option("--batch <n>", "trajectories sampled together", positiveInteger, 4)
    .option("--repeats <n>", "how many times each batch and arm is sampled and timed", positiveInteger, 1)
    .option("--costs <file>", "what `blockcache costs` wrote, to predict speed-ups; some heuristics need it")
    .addOption(redisOption())
    .addOption(
      outputFolder(
        "--out <folder>",
        "where everything is kept; an unfinished study of the same setting is continued",
      ).makeOptionMandatory(),
    )
    .action(async (model: string, options: SweepCommandOptions, given: Command) => {
      if (options.schedule !== undefined && options.heuristic === undefined)
        refuseWithout(given, "--heuristic", ["kinds"]);
      const profile = await loadProfile(options.profile);
      checkAgrees(profile, options);
      const prompts = await readPrompts(options.prompts);
      const costs = options.costs === undefined ? undefined : await loadCosts(options.costs);
      const { setting } = profile;
      if (costs !== undefined) requireCostsOf(costs, setting.model, setting.latent_size);
      const steps = setting.num_inference_steps;
      const names = options.heuristic ?? (options.schedule === undefined ? ["threshold"] : []);
      const heuristics = await Promise.all(names.map((name) => loadHeuristic(name)));
      checkValues(heuristics, options);
      const schedules = await Promise.all(
        (options.schedule ?? []).map(async (path) => ({
          name: basename(path, ".json"),
          schedule: await loadSchedule(path),
        })),
      );
      const adjustments = await Promise.all(
        (options.adjustment ?? []).map(async (path) => ({
          name: basename(path, ".safetensors"),
          adjustment: await loadAdjustment(path),
          reference: await adjustmentReference(path),
        })),
      );
      const arms = sweepArms(profile, {
        heuristics: heuristics.map((heuristic) => ({ heuristic, values: valuesOf(heuristic, options) })),
        kinds: options.kinds.map(kindSetOf),
        schedules,
        adjustments,
        reuse: await loadReuseRules(options.reuse),
        plainSteps: options.plainSteps ?? PLAIN_SHARES.map((share) => Math.max(1, Math.round(share * steps))),
        costs,
      });
      const pipeline = await openPipeline(model, options);
      const { rowsPerImage } = planEvaluations(pipeline, { guidanceScale: setting.guidance_scale });
      const rows = rowsPerImage * Math.min(options.batch, prompts.length * options.seeds.length);
      const caveats =
        costs === undefined
          ? []
          : costsCaveats(costs, { rows, device: options.redis === undefined ? pipeline.device.name : undefined });
      const progress = createProgress("sweeping", "evaluations");
      try {
        const [height, width] = setting.latent_size.map((extent) => extent * pipeline.vaeScaleFactor);
        const study = await runStudy(pipeline, {
          prompts,
          seeds: options.seeds,
          arms,
          folder: options.out,
          steps,
          solver: setting.solver as SolverName,
          convergedSteps: options.convergedSteps,
          schedulerConfig: setting.solver_config,
          guidanceScale: setting.guidance_scale,
          negativePrompt: setting.negative_prompt ?? undefined,
          height,
          width,
          batch: options.batch,
          repeats: options.repeats,
          costs,
          runner: await runnerFor(options.redis, pipeline),
          onProgress: progress.update,
          signal: abortOnInterrupt(),
        });
        progress.stop();
        const warnings = [...studyWarnings(study), ...caveats];
        print(
          options,
          {
            out: options.out,
            arms: study.results.length,
            failed: study.failed?.map(({ arm, reason }) => ({ name: arm.name, reason })),
            trajectories: study.trajectories.length,
            warnings,
          },
          [
            `${options.out}: ${counted(study.results.length, "arm")} on ${counted(study.trajectories.length, "trajectory", "trajectories")} — \`blockcache compare ${options.out}\` prints the comparison`,
            ...warnings.map((warning) => `warning: ${warning}`),
          ],
        );
      } finally {
        progress.stop();
      }
      await pipeline.dispose();
    });
}

function checkAgrees({ setting }: Profile, { profile, steps, solver, timestepSpacing }: SweepCommandOptions): void {
  const spacing = setting.solver_config.timestep_spacing;
  const pairs: [flag: string, ofProfile: string, given: unknown, found: unknown][] = [
    ["--steps", "--steps ", steps, setting.num_inference_steps],
    ["--solver", "--solver ", solver, setting.solver],
    ["--timestep-spacing", "--scheduler-config timestep_spacing=", timestepSpacing, spacing],
  ];
  for (const [flag, ofProfile, given, found] of pairs) {
    if (given === undefined || found === undefined || given === found) continue;
    throw new ArgumentError(
      `${flag}: expected ${String(found)}, as ${profile} was measured, found ${String(given)} — \`blockcache profile ${ofProfile}${String(given)}\` measures one for it`,
    );
  }
}

/** The values that the options give a heuristic; undefined where it uses its own. */
function valuesOf(
  { name, parameter }: NamedHeuristic,
  { values, deltas }: SweepCommandOptions,
): readonly number[] | undefined {
  return values?.[name] ?? (parameter === "delta" ? deltas : undefined);
}

/** Every list of values belongs to a heuristic, and every heuristic has values. */
function checkValues(heuristics: readonly NamedHeuristic[], options: SweepCommandOptions): void {
  const { values = {}, deltas } = options;
  const names = heuristics.map(({ name }) => name).join(", ") || "none";
  const stray = Object.keys(values).find((name) => heuristics.every((each) => each.name !== name));
  if (stray !== undefined)
    throw new UsageError(`--values: expected heuristics of this sweep (${names}), found "${stray}"`);
  if (deltas !== undefined && heuristics.every(({ parameter }) => parameter !== "delta"))
    throw new UsageError(`--deltas: no heuristic of this sweep has a δ (${names}) — --values name=1,2,3`);
  for (const heuristic of heuristics) {
    const { name, parameter } = heuristic;
    if (parameter === "")
      throw new UsageError(
        `--heuristic: ${name} does not say which option a sweep varies — export const parameter = "…" beside the function`,
      );
    if ((valuesOf(heuristic, options) ?? heuristic.values).length === 0)
      throw new UsageError(
        `--heuristic: ${name} has no values to try — --values ${name}=1,2,3, or export const values = […] beside the function`,
      );
  }
}

function numberList(text: string): number[] {
  return text.split(",").map(finiteNumber);
}

/** `name=1,2`, once or several times. */
function namedLists(
  text: string,
  before: Readonly<Record<string, readonly number[]>> = {},
): Record<string, readonly number[]> {
  const [name, list] = text.split("=");
  if (name === "" || list === undefined) throw new InvalidArgumentError(`expected name=1,2,3, found "${text}".`);
  return { ...before, [name]: numberList(list) };
}
