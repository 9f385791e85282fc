/**
 * At equal latency, cached N steps or plain fewer steps? A study of the embedded model: every arm against a
 * 200-step solution from the same noise, one spacing throughout; chosen on one half of the prompts,
 * where the profile is measured too, and reported on the other.
 *
 *   npm run bench:caching -- [--steps 20|50] [--solver dpmsolver++|ddim] [--spacing trailing|leading|linspace] [--prompts 16]
 *
 * Continues where it was interrupted. Writes bench/results/caching-<steps>.md and study-<steps>.json (every raw value;
 * `blockcache compare` and `blockcache plot pareto` read it), with the solver's and the spacing's name where they are
 * not the defaults.
 */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureCosts } from "../src/caching/costs/costs.js";
import type { Costs } from "../src/caching/costs/costs.js";
import { loadCosts, saveCosts } from "../src/caching/costs/costsFile.js";
import { computeEnds } from "../src/caching/schedule/edits.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { heuristicNamed } from "../src/caching/heuristics/registry.js";
import { speedupCeiling } from "../src/caching/costs/predictSeconds.js";
import { regularSchedule } from "../src/caching/schedule/regularSchedule.js";
import { hold, linear, quadratic } from "../src/caching/run/reuseRule.js";
import type { ReuseRule } from "../src/caching/run/reuseRule.js";
import { createProgress } from "../src/cli/progress.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import type { Pipeline } from "../src/diffusion/pipeline.js";
import type { SolverName } from "../src/diffusion/solvers/index.js";
import type { BlockKind } from "../src/graphs/block.js";
import { PAPER_PRESET } from "../src/instrument/profile/paperPreset.js";
import type { Profile } from "../src/instrument/profile/profile.js";
import { profileChange } from "../src/instrument/profile/profileChange.js";
import { plainAtLatency } from "../src/quality/equalLatency.js";
import { pairedRatio } from "../src/quality/pairedRatio.js";
import { chooseArms, halves } from "../src/study/choose.js";
import { DISTANCE_MEASURES, compareArms } from "../src/study/compare.js";
import type { ComparedArm, DistanceMeasure } from "../src/study/compare.js";
import type { Arm, StudyResult } from "../src/study/result.js";
import { saveStudy } from "../src/study/resultFile.js";
import { runStudy } from "../src/study/runStudy.js";
import { sweepArms } from "../src/study/sweepArms.js";
import { comparisonTable } from "../src/study/table.js";
import { studyWarnings } from "../src/study/warnings.js";
import { writeResult } from "./results.js";

const SOLVER = "dpmsolver++";
/**
 * Every number of steps starts at the last timestep; with another spacing, fewer steps may start at a lower noise level
 * than that of the noise given.
 */
const SPACING = "trailing";
const BATCH = 8;
const TRANSFORMERS = { label: "transformers", kinds: ["transformer"] as readonly BlockKind[] };
const ALL_KINDS = { label: "all kinds", kinds: CACHEABLE_KINDS };
/** Where conv_out is reused nothing before it is read, so that the whole evaluation costs nothing. */
const WHOLE_NETWORK = { label: "whole network", kinds: ["conv_out"] as readonly BlockKind[] };

/** Whole evaluations are skipped; with more steps than the plain run, as many or fewer of them compute. */
interface Spaced {
  readonly steps: number;
  /** between its ends the network computes once in this many evaluations */
  readonly interval: number;
  readonly first: number;
  readonly last: number;
  readonly reuse: ReuseRule;
}

const spaced = (steps: number, interval: number, first: number, last: number, reuse = linear): Spaced => ({
  steps,
  interval,
  first,
  last,
  reuse,
});

/** What a number of plain steps is compared with. */
interface Question {
  readonly plainSteps: readonly number[];
  readonly deltas: readonly number[];
  /** of greedy and the dynamic programme */
  readonly budgets: readonly number[];
  readonly spaced: readonly Spaced[];
}

const QUESTIONS: Readonly<Record<string, Question>> = {
  "20": {
    plainSteps: [8, 10, 12, 14, 16, 18],
    deltas: [0.05, 0.1, 0.2],
    budgets: [1.5],
    spaced: [
      spaced(20, 2, 1, 0),
      spaced(20, 2, 1, 0, quadratic),
      spaced(20, 2, 4, 2),
      spaced(20, 2, 8, 3),
      spaced(20, 3, 7, 2),
      spaced(24, 2, 4, 1),
      spaced(27, 2, 1, 1),
      spaced(27, 2, 2, 2),
      spaced(29, 2, 1, 1),
      spaced(31, 3, 1, 1),
      spaced(34, 3, 1, 1),
      spaced(37, 3, 1, 1),
      spaced(40, 3, 1, 1),
      spaced(40, 3, 1, 2),
      spaced(40, 3, 3, 2),
      spaced(53, 4, 1, 1),
    ],
  },
  "50": {
    plainSteps: [16, 20, 25, 30, 40],
    deltas: [0.05, 0.1],
    budgets: [],
    spaced: [
      spaced(50, 2, 1, 0),
      spaced(50, 2, 11, 4),
      spaced(50, 3, 11, 4),
      spaced(61, 3, 1, 1),
      spaced(67, 2, 1, 1),
      spaced(73, 3, 1, 1),
      spaced(82, 3, 1, 1),
      spaced(91, 3, 1, 1),
      spaced(97, 4, 1, 1),
      spaced(109, 4, 1, 1),
      spaced(133, 5, 1, 1),
    ],
  },
};

/**
 * diffusers' DDIM advances by ⌊1000 / N⌋ timesteps: a number of steps that does not divide 1000 leaves noise behind (61
 * steps: 24 timesteps' worth), in plain runs and cached ones. Only numbers that do are compared.
 */
const DDIM_QUESTIONS: Readonly<Record<string, Question>> = {
  "20": {
    ...QUESTIONS["20"],
    plainSteps: [8, 10, 25],
    spaced: [
      spaced(20, 2, 1, 0),
      spaced(20, 2, 1, 0, quadratic),
      spaced(20, 2, 4, 2),
      spaced(20, 2, 8, 3),
      spaced(20, 3, 7, 2),
      spaced(25, 2, 1, 1),
      spaced(25, 2, 4, 1),
      spaced(40, 3, 1, 1),
      spaced(40, 3, 1, 2),
      spaced(40, 3, 3, 2),
      spaced(50, 4, 1, 1),
      spaced(50, 4, 3, 2),
      spaced(50, 5, 1, 1),
    ],
  },
  "50": {
    ...QUESTIONS["50"],
    plainSteps: [20, 25, 40],
    spaced: [
      spaced(50, 2, 1, 0),
      spaced(50, 2, 11, 4),
      spaced(50, 3, 11, 4),
      spaced(100, 3, 1, 1),
      spaced(100, 3, 4, 2),
      spaced(100, 4, 1, 1),
      spaced(125, 4, 1, 1),
      spaced(125, 5, 1, 1),
    ],
  },
};

async function armsOf(
  pipeline: Pipeline,
  profile: Profile,
  costs: Costs,
  { plainSteps, deltas, budgets, spaced: whole }: Question,
): Promise<Arm[]> {
  const named = (name: string, values: readonly number[]) => ({ heuristic: heuristicNamed(name), values });
  const paper = sweepArms(profile, {
    plainSteps,
    costs,
    heuristics: [named("threshold", deltas)],
    kinds: [TRANSFORMERS, ALL_KINDS],
    reuse: [hold],
  });
  const regular = sweepArms(profile, {
    plainSteps: [],
    costs,
    heuristics: [named("uniform", [2])],
    kinds: [TRANSFORMERS, ALL_KINDS],
    reuse: [hold, linear],
  });
  const budgeted = sweepArms(profile, {
    plainSteps: [],
    costs,
    heuristics: [named("greedy", budgets), named("dynamic-programme", budgets)],
    kinds: [ALL_KINDS],
    reuse: [linear],
  });
  const arms = [
    ...paper,
    ...regular,
    ...budgeted,
    ...(await Promise.all(whole.map((each) => spacedArm(pipeline, profile, each)))),
  ];
  return arms.filter(({ name }, index) => arms.findIndex((other) => other.name === name) === index);
}

async function spacedArm(
  pipeline: Pipeline,
  { setting }: Profile,
  { steps, interval, first, last, reuse }: Spaced,
): Promise<Arm> {
  const { solver, solver_config } = setting;
  const everywhere = await regularSchedule(pipeline, {
    interval,
    kinds: WHOLE_NETWORK.kinds,
    steps,
    solver: solver as SolverName,
    schedulerConfig: solver_config,
    guidanceScale: setting.guidance_scale,
  });
  const ends = first === 1 && last === 0 ? "" : `, the first ${first} and the last ${last}`;
  const of = steps === setting.num_inference_steps ? "" : ` of ${steps} steps`;
  return {
    name: `every ${interval}${of}${ends}, ${WHOLE_NETWORK.label}, ${reuse.name}`,
    solver: solver as SolverName,
    steps,
    cached: {
      schedule: computeEnds(everywhere, { first, last }),
      reuse: reuse.name,
      kinds: WHOLE_NETWORK.label,
      parameter: interval,
    },
  };
}

/** Measured once per study, so that plans made from them stay the same when it continues. */
async function keptCosts(pipeline: Pipeline, path: string): Promise<Costs> {
  if (!existsSync(path)) await saveCosts(path, await measureCosts(pipeline, { rows: 2 * BATCH }));
  return loadCosts(path);
}

const MEASURE_NAMES: Readonly<Record<DistanceMeasure, string>> = {
  latent: "relative L2 of the final latents",
  rms: "root mean square error of the pictures",
  dssim: "(1 − SSIM) / 2 of the pictures",
};

function choiceLines(measure: DistanceMeasure, study: Parameters<typeof chooseArms>[0]): string[] {
  return chooseArms(study, measure).map(
    ({ rule, reported }) => `- ${MEASURE_NAMES[measure]}, ${rule}: ${reported === undefined ? "none" : told(reported)}`,
  );
}

function told({ result, speedup, againstPlain, atEqualLatency }: ComparedArm): string {
  const interval = (of: ComparedArm["againstPlain"]): string =>
    `${of.ratio.toFixed(2)} (${of.low.toFixed(2)}–${of.high.toFixed(2)})`;
  return `**${result.arm.name}**, speed-up ${speedup.toFixed(2)}, distance ÷ plain's ${interval(againstPlain)}, ÷ plain's at equal latency ${atEqualLatency === undefined ? "outside the plain runs" : interval(atEqualLatency)}`;
}

/**
 * Whole evaluations skipped, against plain sampling with as many evaluations: a comparison that timing noise cannot
 * blur. Skipping costs next to nothing, so that this is equal latency too.
 */
function atEqualEvaluations(study: StudyResult): string[] {
  const plain = study.results
    .filter(({ arm }) => arm.cached === undefined)
    .map(({ arm, toConverged }) => ({ latency: arm.steps, distances: toConverged.latent }));
  return study.results.flatMap(({ arm, toConverged }) => {
    const evaluations = arm.cached?.schedule.blocks.conv_out?.length;
    const equal = evaluations === undefined ? undefined : plainAtLatency(plain, evaluations);
    if (equal === undefined) return [];
    const { ratio, low, high } = pairedRatio(toConverged.latent, equal);
    return [`| ${arm.name} | ${evaluations} | ${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}) |`];
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      steps: { type: "string", default: "20" },
      solver: { type: "string", default: SOLVER },
      spacing: { type: "string", default: SPACING },
      prompts: { type: "string", default: "16" },
    },
  });
  const count = Number(values.prompts);
  if (!(values.steps in QUESTIONS) || !(Number.isInteger(count) && count >= 2 && count <= PAPER_PRESET.prompts.length))
    throw new RangeError(`expected --steps 20 or 50, and --prompts from 2 to ${PAPER_PRESET.prompts.length}`);
  const steps = Number(values.steps);
  const solver = values.solver as SolverName;
  const { spacing } = values;
  const named = [...(solver === SOLVER ? [] : [solver]), ...(spacing === SPACING ? [] : [spacing])];
  const pipeline = await loadPipeline(join("models", "fluent-ldm"));
  const prompts = PAPER_PRESET.prompts.slice(0, count);
  const folder = join(".cache", "bench-caching", [steps, ...named, count].join("-"));
  await mkdir(folder, { recursive: true });
  const profile = await profileChange(pipeline, {
    prompts: prompts.slice(0, count >> 1),
    seeds: [1],
    steps,
    solver,
    schedulerConfig: { timestep_spacing: spacing },
    file: join(folder, "profile.safetensors"),
  });
  const costs = await keptCosts(pipeline, join(folder, "costs.safetensors"));
  const progress = createProgress(`study of ${steps} steps`, "evaluations");
  const study = await runStudy(pipeline, {
    prompts,
    seeds: [0],
    arms: await armsOf(pipeline, profile, costs, (solver === "ddim" ? DDIM_QUESTIONS : QUESTIONS)[values.steps]),
    folder,
    costs,
    solver,
    steps,
    schedulerConfig: { timestep_spacing: spacing },
    batch: BATCH,
    onProgress: progress.update,
  });
  progress.stop();

  const [, reporting] = halves(study);
  const ceilings = [TRANSFORMERS, ALL_KINDS].map(({ label, kinds }) => {
    const ids = profile.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => id);
    return `${label} ${speedupCeiling(costs, { ...profile.setting, blocks: {} }, ids).toFixed(2)}`;
  });
  const name = [steps, ...named].join("-");
  const lines = [
    `# bench/caching, ${steps} steps`,
    "",
    `Embedded model, ${solver}, ${spacing}, guidance 5, ${count} prompts in batches of ${BATCH}; ${study.machine}. Distance: to the ${study.converged_steps}-step solution from the same noise. The profile and every choice are of one half of the prompts; every number below is of the other half.`,
    "",
    `Ceiling by time, were every such branch free but at the first evaluation: ${ceilings.join("; ")}.`,
    "",
    "## What was chosen",
    "",
    ...(Object.keys(DISTANCE_MEASURES) as DistanceMeasure[]).flatMap((measure) => choiceLines(measure, study)),
    "",
    "## All arms, by latents",
    "",
    "```",
    ...comparisonTable(compareArms(reporting)),
    "```",
    "",
    "## Whole evaluations skipped, at an equal number of evaluations",
    "",
    "| arm | evaluations | distance ÷ plain's with as many (95 %) |",
    "| --- | --- | --- |",
    ...atEqualEvaluations(reporting),
    "",
    ...studyWarnings(study).map((warning) => `- ${warning}`),
    "",
  ];
  await writeResult(`caching-${name}.md`, lines.join("\n"));
  await saveStudy(join("bench", "results", `study-${name}.json`), study);
  console.log(lines.join("\n"));
}

await main();
