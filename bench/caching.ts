/**
 * At equal latency, cached N steps or plain fewer steps? A study of the embedded model: every arm against a
 * 200-step solution from the same noise, trailing spacing throughout; chosen on one half of the prompts,
 * where the profile is measured too, and reported on the other.
 *
 *   npm run bench:caching -- [--steps 20|50] [--prompts 16]
 *
 * Goes on where it was interrupted. Writes bench/results/caching-<steps>.md and study-<steps>.json (every raw
 * value; `blockcache compare` and `blockcache plot pareto` read it).
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measureCosts } from "../src/caching/costs.js";
import type { Costs } from "../src/caching/costs.js";
import { computeEnds } from "../src/caching/edits.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { heuristicNamed } from "../src/caching/heuristics/registry.js";
import { uniform } from "../src/caching/heuristics/uniform.js";
import { speedupCeiling } from "../src/caching/predictSeconds.js";
import { hold, linear, quadratic } from "../src/caching/reuseRule.js";
import type { ReuseRule } from "../src/caching/reuseRule.js";
import { createProgress } from "../src/cli/progress.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import type { BlockKind } from "../src/graphs/block.js";
import { PAPER_PRESET } from "../src/instrument/paperPreset.js";
import type { Profile } from "../src/instrument/profile.js";
import { profileChange } from "../src/instrument/profileChange.js";
import { chooseArms, halves } from "../src/study/choose.js";
import { DISTANCE_MEASURES, compareArms } from "../src/study/compare.js";
import type { ComparedArm, DistanceMeasure } from "../src/study/compare.js";
import type { Arm } from "../src/study/result.js";
import { saveStudy } from "../src/study/resultFile.js";
import { runStudy } from "../src/study/runStudy.js";
import { sweepArms } from "../src/study/sweepArms.js";
import { comparisonTable } from "../src/study/table.js";
import { studyWarnings } from "../src/study/warnings.js";
import { writeResult } from "./results.js";

const SOLVER = "dpmsolver++";
const BATCH = 8;
const TRANSFORMERS = { label: "transformers", kinds: ["transformer"] as readonly BlockKind[] };
const ALL_KINDS = { label: "all kinds", kinds: CACHEABLE_KINDS };
/** Where conv_out is reused nothing before it is read, so that the whole evaluation costs nothing. */
const WHOLE_NETWORK = { label: "whole network", kinds: ["conv_out"] as readonly BlockKind[] };

interface Spaced {
  /** every how many evaluations the network computes between its ends */
  readonly interval: number;
  readonly first: number;
  readonly last: number;
}

const PLAIN_STEPS: Readonly<Record<string, readonly number[]>> = { "20": [6, 8, 10, 12, 14, 16, 18], "50": [12, 16, 20, 25, 30, 40] };
const DELTAS: Readonly<Record<string, readonly number[]>> = { "20": [0.05, 0.1, 0.2, 0.3], "50": [0.05, 0.1] };
const SPACED: Readonly<Record<string, readonly Spaced[]>> = {
  "20": [
    { interval: 2, first: 1, last: 0 }, { interval: 2, first: 4, last: 0 }, { interval: 2, first: 5, last: 2 }, { interval: 2, first: 8, last: 0 }, { interval: 2, first: 8, last: 3 },
    { interval: 3, first: 5, last: 2 }, { interval: 3, first: 7, last: 2 }, { interval: 4, first: 5, last: 2 }, { interval: 4, first: 8, last: 2 },
  ],
  "50": [
    { interval: 2, first: 1, last: 0 }, { interval: 2, first: 11, last: 4 }, { interval: 3, first: 1, last: 0 }, { interval: 3, first: 11, last: 4 },
    { interval: 4, first: 11, last: 5 }, { interval: 4, first: 16, last: 5 },
  ],
};

function armsOf(profile: Profile, costs: Costs, steps: string): Arm[] {
  const named = (name: string, values: readonly number[]) => ({ heuristic: heuristicNamed(name), values });
  const common = { plainSteps: PLAIN_STEPS[steps], costs };
  const paper = sweepArms(profile, { ...common, heuristics: [named("threshold", DELTAS[steps])], kinds: [TRANSFORMERS, ALL_KINDS], reuse: [hold] });
  const regular = sweepArms(profile, { ...common, plainSteps: [], heuristics: [named("uniform", [2])], kinds: [TRANSFORMERS, ALL_KINDS], reuse: [hold, linear] });
  const budgeted = sweepArms(profile, { ...common, plainSteps: [], heuristics: [named("greedy", [1.5]), named("dynamic-programme", [1.2, 1.5, 1.8])], kinds: [ALL_KINDS], reuse: [linear] });
  const spaced = SPACED[steps].flatMap((each) => [linear, quadratic].map((reuse) => spacedArm(profile, each, reuse)));
  const arms = [...paper, ...regular, ...(steps === "20" ? budgeted : []), ...spaced];
  return arms.filter(({ name }, index) => arms.findIndex((other) => other.name === name) === index);
}

function spacedArm(profile: Profile, { interval, first, last }: Spaced, reuse: ReuseRule): Arm {
  const schedule = computeEnds(uniform(profile, { interval, kinds: WHOLE_NETWORK.kinds }), { first, last });
  const ends = first === 1 && last === 0 ? "" : ` with the first ${first} and the last ${last}`;
  return { name: `every ${interval}${ends}, ${WHOLE_NETWORK.label}, ${reuse.name}`, solver: SOLVER, steps: profile.setting.num_inference_steps, cached: { schedule, reuse: reuse.name, kinds: WHOLE_NETWORK.label, parameter: interval } };
}

const MEASURE_NAMES: Readonly<Record<DistanceMeasure, string>> = { latent: "relative L2 of the final latents", rms: "root mean square error of the pictures", dssim: "(1 − SSIM) / 2 of the pictures" };

function choiceLines(measure: DistanceMeasure, study: Parameters<typeof chooseArms>[0]): string[] {
  return chooseArms(study, measure).map(({ rule, reported }) => `- ${MEASURE_NAMES[measure]}, ${rule}: ${reported === undefined ? "none" : told(reported)}`);
}

function told({ result, speedup, againstPlain, atEqualLatency }: ComparedArm): string {
  const interval = (of: ComparedArm["againstPlain"]): string => `${of.ratio.toFixed(2)} (${of.low.toFixed(2)}–${of.high.toFixed(2)})`;
  return `**${result.arm.name}**, speed-up ${speedup.toFixed(2)}, distance ÷ plain's ${interval(againstPlain)}, ÷ plain's at equal latency ${atEqualLatency === undefined ? "outside of the plain runs" : interval(atEqualLatency)}`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { steps: { type: "string", default: "20" }, prompts: { type: "string", default: "16" } } });
  const count = Number(values.prompts);
  if (!(values.steps in PLAIN_STEPS) || !(Number.isInteger(count) && count >= 2 && count <= PAPER_PRESET.prompts.length)) throw new RangeError(`expected --steps 20 or 50, and --prompts from 2 to ${PAPER_PRESET.prompts.length}`);
  const steps = Number(values.steps);
  const pipeline = await loadPipeline(join("models", "fluent-ldm"));
  const prompts = PAPER_PRESET.prompts.slice(0, count);
  const folder = join(".cache", "bench-caching", `${steps}-${count}`);
  await mkdir(folder, { recursive: true });
  const profile = await profileChange(pipeline, { prompts: prompts.slice(0, count >> 1), seeds: [1], steps, solver: SOLVER, schedulerConfig: { timestep_spacing: "trailing" }, file: join(folder, "profile.safetensors") });
  const costs = await measureCosts(pipeline, { rows: 2 * BATCH });
  const progress = createProgress(`study of ${steps} steps`, "evaluations");
  const study = await runStudy(pipeline, { prompts, seeds: [0], arms: armsOf(profile, costs, values.steps), folder, costs, solver: SOLVER, steps, batch: BATCH, onProgress: progress.update });
  progress.stop();

  const [, reporting] = halves(study);
  const ceilings = [TRANSFORMERS, ALL_KINDS].map(({ label, kinds }) => {
    const ids = profile.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => id);
    return `${label} ${speedupCeiling(costs, { ...profile.setting, blocks: {} }, ids).toFixed(2)}`;
  });
  const lines = [
    `# bench/caching, ${steps} steps`, "",
    `Embedded model, ${SOLVER}, trailing, guidance 5, ${count} prompts in batches of ${BATCH}; ${study.machine}. Distance: to the ${study.converged_steps}-step solution from the same noise. The profile and every choice are of one half of the prompts; every number below is of the other half.`, "",
    `Ceiling by time, were every such branch free but at the first evaluation: ${ceilings.join("; ")}.`, "",
    "## What was chosen", "",
    ...(Object.keys(DISTANCE_MEASURES) as DistanceMeasure[]).flatMap((measure) => choiceLines(measure, study)), "",
    "## All arms, by latents", "", "```", ...comparisonTable(compareArms(reporting)), "```", "",
    ...studyWarnings(study).map((warning) => `- ${warning}`), "",
  ];
  await writeResult(`caching-${steps}.md`, lines.join("\n"));
  await saveStudy(join("bench", "results", `study-${steps}.json`), study);
  console.log(lines.join("\n"));
}

await main();
