/**
 * How much of the caching error an adjustment removes, by how it is fitted: the final latents' relative L2 distance to
 * the plain run on prompts that neither the profile nor the fit has seen, with the paper's threshold schedule on the
 * embedded model.
 *
 *   npm run bench:adjustment -- [--deltas 0.2,0.4] [--steps 20] [--fit 8] [--test 24] [--only default,richest]
 *
 * Writes bench/results/adjustment-<steps>.md and .json, with another number of fitted prompts than 8
 * adjustment-<steps>-of-<number> (every trajectory, and what each fit reports about its own error) after each fit. Fits
 * that the .json holds are not made again, and one that was interrupted continues from .cache/bench-adjustment: delete
 * both after a change of the library.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { mkdir } from "node:fs/promises";
import { parseArgs } from "node:util";
import { distilAdjustment } from "../src/caching/adjustment/distil.js";
import { fitAdjustment } from "../src/caching/adjustment/fitAdjustment.js";
import type { FitOptions } from "../src/caching/adjustment/fitAdjustment.js";
import { threshold } from "../src/caching/heuristics/threshold.js";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { computedShare } from "../src/caching/schedule/schedule.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { profileChange } from "../src/instrument/profile/profileChange.js";
import { relativeDistances } from "../src/quality/distance.js";
import { finalLatents } from "../src/study/finalLatents.js";
import { FIT_PROMPTS, PROFILE_PROMPTS, TEST_PROMPTS } from "./adjustmentPrompts.js";
import { writeResult } from "./results.js";

const SAMPLING = {
  solver: "dpmsolver++",
  schedulerConfig: { timestep_spacing: "trailing" },
  guidanceScale: 5,
} as const;

/** Prompts that an adjustment is fitted on, where none are asked for. */
const USUAL_FIT = 8;

/** Trained on from the closed form, by the defaults of `distilAdjustment`. */
const DISTILLED = "distilled from the default";

/** How the fits differ from the default. */
const VARIANTS: Readonly<Record<string, Omit<FitOptions, "prompts">>> = {
  default: {},
  [DISTILLED]: {},
  "scale alone": { terms: ["scale"] },
  "shift alone": { terms: ["shift"] },
  "what guidance makes of the halves alone": { halves: "guided" },
  "halves together": { halves: "together" },
  "halves apart": { halves: "apart" },
  "one pair a block": { per: "block" },
  "fitted to out": { target: "out" },
  "and the last change": { terms: ["scale", "change", "shift"] },
  "and the input's change": { terms: ["scale", "input_change", "shift"] },
  "and both": { terms: ["scale", "change", "input_change", "shift"] },
  "and the change before": { terms: ["scale", "change", "earlier_change", "input_change", "shift"] },
};

interface Result {
  readonly steps: number;
  readonly fitted: readonly string[];
  readonly judged: readonly string[];
  readonly rows: Row[];
}

interface Row {
  readonly delta: number;
  readonly variant: string;
  /** share of transformers' evaluations that compute */
  readonly share: number;
  readonly without: readonly number[];
  readonly adjusted: readonly number[];
  /** mean relative squared error of the stand-ins: before, after on the fit's prompts, after on prompts held out */
  readonly cells: { readonly before: number; readonly fitted: number; readonly held_out: number };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      deltas: { type: "string", default: "0.2,0.4" },
      steps: { type: "string", default: "20" },
      fit: { type: "string", default: String(USUAL_FIT) },
      test: { type: "string", default: "24" },
      only: { type: "string" },
    },
  });
  const steps = Number(values.steps);
  const prompts: readonly string[] = FIT_PROMPTS.slice(0, Number(values.fit));
  const judged: readonly string[] = TEST_PROMPTS.slice(0, Number(values.test));
  const trajectories = judged.map((prompt) => ({ prompt, seed: 1 }));
  const variants = Object.keys(VARIANTS).filter((name) => values.only?.split(",").includes(name) ?? true);
  // On one thread, so that the seconds of processor time do not hang on who else computes.
  const pipeline = await loadPipeline(join("models", "fluent-ldm"), { threads: 1 });
  const profile = await profileChange(pipeline, { ...SAMPLING, prompts: PROFILE_PROMPTS, seeds: [0], steps });
  const plain = await finalLatents(pipeline, trajectories, { ...SAMPLING, steps });
  const setting = { steps, fitted: prompts, judged };
  const kept = join(".cache", "bench-adjustment", `${steps}-${prompts.length}`);
  await mkdir(kept, { recursive: true });
  const rows = earlierRows(setting);
  for (const delta of values.deltas.split(",").map(Number)) {
    const schedule = threshold(profile, { delta });
    const distances = async (run: ReturnType<typeof cachedRun>): Promise<number[]> =>
      relativeDistances(await finalLatents(pipeline, trajectories, { ...SAMPLING, steps, hooks: [run] }), plain);
    const without = await distances(cachedRun(schedule));
    for (const variant of variants) {
      if (rows.some((row) => row.delta === delta && row.variant === variant)) continue;
      const started = process.cpuUsage().user;
      const fileOf = (what: string): string => join(kept, `${delta}-${what}.safetensors`.replaceAll(" ", "-"));
      const fit = await fitAdjustment(pipeline, schedule, {
        prompts,
        file: fileOf(variant === DISTILLED ? "default" : variant),
        ...VARIANTS[variant],
      });
      const adjustment =
        variant === DISTILLED
          ? await distilAdjustment(pipeline, schedule, fit, { prompts, file: fileOf("state"), onProgress: console.log })
          : fit;
      console.log(`${variant}: ${((process.cpuUsage().user - started) / 1e6).toFixed(0)} s of one core`);
      const cells = Object.values(fit.report).flat();
      const adjusted = await distances(cachedRun(schedule, { adjustment }));
      const [before, fitted, held_out] = (["before", "fitted", "held_out"] as const).map((of) =>
        mean(cells.map((cell) => cell[of])),
      );
      const row = {
        delta,
        variant,
        share: computedShare(schedule),
        without,
        adjusted,
        cells: { before, fitted, held_out },
      };
      rows.push(row);
      console.log(lineOf(row));
      await save({ ...setting, rows });
    }
  }
  await pipeline.dispose();
}

function resultFile({ steps, fitted }: Pick<Result, "steps" | "fitted">, ending: "md" | "json"): string {
  return `adjustment-${steps}${fitted.length === USUAL_FIT ? "" : `-of-${fitted.length}`}.${ending}`;
}

function earlierRows({ steps, fitted, judged }: Omit<Result, "rows">): Row[] {
  const path = join("bench", "results", resultFile({ steps, fitted }, "json"));
  if (!existsSync(path)) return [];
  const { rows, ...setting } = JSON.parse(readFileSync(path, "utf8")) as Result;
  return JSON.stringify(setting) === JSON.stringify({ steps, fitted, judged }) ? rows : [];
}

async function save({ steps, fitted, judged, rows }: Result): Promise<void> {
  const lines = [
    "# bench/adjustment",
    "",
    `Embedded model, ${SAMPLING.solver}, trailing, ${steps} steps, guidance 5; profile of ${PROFILE_PROMPTS.length} prompts, fitted on ${fitted.length} others, judged on ${judged.length} others. Distance: relative L2 of the final latents to the plain run's, mean. Error of the stand-ins: Σ(y − ŷ)² / Σy², mean over blocks and evaluations.`,
    "",
    "| δ | fit | distance without | with | removed | nearer on | most, with ÷ without | error of the stand-ins without | after, fitted prompts | after, held out |",
    "|---|---|---|---|---|---|---|---|---|---|",
    ...rows.map(lineOf),
    "",
  ];
  await writeResult(resultFile({ steps, fitted }, "md"), lines.join("\n"));
  await writeResult(resultFile({ steps, fitted }, "json"), `${JSON.stringify({ steps, fitted, judged, rows })}\n`);
}

function lineOf({ delta, share, variant, without, adjusted, cells }: Row): string {
  const removed = 1 - mean(adjusted) / mean(without);
  const ratios = adjusted.map((each, index) => each / without[index]);
  const nearer = ratios.filter((ratio) => ratio < 1).length;
  return `| ${delta} (${(100 * share).toFixed(0)} %) | ${variant} | ${mean(without).toFixed(4)} | ${mean(adjusted).toFixed(4)} | ${(100 * removed).toFixed(1)} % | ${nearer} of ${ratios.length} | ${Math.max(...ratios).toFixed(2)} | ${cells.before.toFixed(3)} | ${cells.fitted.toFixed(3)} | ${cells.held_out.toFixed(3)} |`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, each) => sum + each, 0) / values.length;
}

await main();
