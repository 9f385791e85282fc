/**
 * At equal latency, cached N steps or plain fewer steps? Both against a near-converged solution of the
 * same ODE (200 steps from the same noise, trailing spacing in every arm). Arms are chosen on one half of
 * the prompts and reported on the other.
 *
 *   npm run bench:caching -- [--steps 20] [--prompts 8]
 *
 * Writes bench/results/caching-<steps>.json (every raw value) and .md.
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cachedRun } from "../src/caching/cachedRun.js";
import { measureCosts } from "../src/caching/costs.js";
import type { Costs } from "../src/caching/costs.js";
import { predictSpeedup, speedupCeiling } from "../src/caching/predictSeconds.js";
import { threshold } from "../src/caching/heuristics/threshold.js";
import { uniform } from "../src/caching/heuristics/uniform.js";
import { hold, linear } from "../src/caching/reuseRule.js";
import type { ReuseRule } from "../src/caching/reuseRule.js";
import { computedShare } from "../src/caching/schedule.js";
import type { Schedule } from "../src/caching/schedule.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import type { Pipeline } from "../src/diffusion/pipeline.js";
import { sample } from "../src/diffusion/sample.js";
import type { BlockKind } from "../src/graphs/block.js";
import { PAPER_PRESET } from "../src/instrument/paperPreset.js";
import { profileChange } from "../src/instrument/profileChange.js";
import type { Profile } from "../src/instrument/profile.js";
import type { FloatTensor } from "../src/models/tensor.js";
import { relativeDistances } from "../src/quality/distance.js";
import { pairedRatio } from "../src/quality/pairedRatio.js";
import type { RatioInterval } from "../src/quality/pairedRatio.js";
import { writeResult } from "./results.js";

const SOLVER = "dpmsolver++";
const TRAILING = { timestep_spacing: "trailing" };
const CONVERGED_STEPS = 200;
const PLAIN_STEPS: Readonly<Record<string, readonly number[]>> = { "20": [8, 10, 12, 14, 16, 18], "50": [15, 20, 25, 30, 40] };
const DELTAS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4];
const KINDS: Readonly<Record<string, readonly BlockKind[]>> = { transformers: ["transformer"], "all kinds": ["transformer", "resnet", "downsampler", "upsampler"] };
/** Not worse than the plain run: the interval's upper end stays below. */
const NOT_WORSE = 1.05;

interface Arm {
  readonly name: string;
  readonly steps: number;
  readonly schedule?: Schedule;
  readonly reuse: ReuseRule;
}

interface Measured {
  readonly name: string;
  /** of one whole batch */
  readonly seconds: number;
  /** to the converged solution, one a trajectory */
  readonly distances: readonly number[];
}

interface Judged extends Measured {
  readonly computedShare: number;
  readonly predicted: number;
  readonly realised: number;
  readonly againstPlain: RatioInterval;
  /** absent where the arm is slower than every plain run, or faster */
  readonly atEqualLatency?: RatioInterval;
}

function armsOf(profile: Profile, steps: number): Arm[] {
  const plain = [...(PLAIN_STEPS[String(steps)] ?? []), steps].map((count): Arm => ({ name: `plain ${count}`, steps: count, reuse: hold }));
  const schedules = Object.entries(KINDS).flatMap(([label, kinds]) => [
    ...DELTAS.map((delta) => ({ name: `threshold δ ${delta}, ${label}`, schedule: threshold(profile, { delta, kinds }) })),
    ...[2, 3].map((interval) => ({ name: `every ${interval}, ${label}`, schedule: uniform(profile, { interval, kinds }) })),
  ]);
  return [...plain, ...schedules.flatMap(({ name, schedule }) => [hold, linear].map((reuse) => ({ name: `${name}, ${reuse.name}`, steps, schedule, reuse })))];
}

async function run(pipeline: Pipeline, prompts: readonly string[], { steps, schedule, reuse }: Omit<Arm, "name">): Promise<{ latents: FloatTensor; seconds: number }> {
  const started = performance.now();
  const hooks = schedule === undefined ? [] : [cachedRun(schedule, { reuse })];
  let latents: FloatTensor | undefined;
  for await (const step of sample(pipeline, { prompt: prompts, seed: prompts.map((_, index) => index), steps, solver: SOLVER, schedulerConfig: TRAILING, hooks })) latents = step.latents;
  if (latents === undefined) throw new TypeError("the solver yielded no step");
  return { latents, seconds: (performance.now() - started) / 1000 };
}

async function measure(pipeline: Pipeline, prompts: readonly string[], arms: readonly Arm[], passes: number, label: string): Promise<Measured[]> {
  const { latents: converged } = await run(pipeline, prompts, { steps: CONVERGED_STEPS, reuse: hold });
  const measured = new Map<string, Measured>();
  for (let pass = 0; pass < passes; pass++) {
    // The second pass goes backwards, so that a slow spell of the machine does not fall on one side.
    for (const arm of pass % 2 === 0 ? arms : [...arms].reverse()) {
      const { latents, seconds } = await run(pipeline, prompts, arm);
      const before = measured.get(arm.name)?.seconds ?? Infinity;
      measured.set(arm.name, { name: arm.name, seconds: Math.min(seconds, before), distances: relativeDistances(latents, converged) });
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${label}: pass ${pass + 1} of ${passes}, ${arm.name}`);
    }
  }
  return arms.map(({ name }) => measured.get(name)).filter((each) => each !== undefined);
}

/** Each trajectory's distance of a plain run that takes `seconds`: log-linear between the numbers of steps measured. */
function plainAt(plain: readonly Measured[], seconds: number): number[] | undefined {
  const upper = plain.findIndex((each) => each.seconds >= seconds);
  if (upper < 1) return undefined;
  const [below, above] = [plain[upper - 1], plain[upper]];
  const share = (seconds - below.seconds) / (above.seconds - below.seconds);
  return below.distances.map((distance, index) => Math.exp((1 - share) * Math.log(distance) + share * Math.log(above.distances[index])));
}

function judge(measured: readonly Measured[], arms: readonly Arm[], steps: number, costs: Costs): Judged[] {
  const plain = measured.filter(({ name }) => name.startsWith("plain ")).sort((a, b) => a.seconds - b.seconds);
  const full = measured.find(({ name }) => name === `plain ${steps}`);
  if (full === undefined) throw new TypeError("the plain run is missing");
  return measured.flatMap((each) => {
    const { schedule, reuse } = arms.find(({ name }) => name === each.name) ?? {};
    if (schedule === undefined) return [];
    const equal = plainAt(plain, each.seconds);
    return [{
      ...each,
      computedShare: computedShare(schedule),
      predicted: predictSpeedup(costs, schedule, reuse),
      realised: full.seconds / each.seconds,
      againstPlain: pairedRatio(each.distances, full.distances),
      ...(equal === undefined ? {} : { atEqualLatency: pairedRatio(each.distances, equal) }),
    }];
  });
}

const interval = ({ ratio, low, high }: RatioInterval): string => `${ratio.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function row({ name, computedShare: share, predicted, realised, distances, againstPlain, atEqualLatency }: Judged): string {
  return `| ${name} | ${(100 * share).toFixed(0)} % | ${predicted.toFixed(2)} | ${realised.toFixed(2)} | ${mean(distances).toFixed(4)} | ${interval(againstPlain)} | ${atEqualLatency === undefined ? "outside of the plain runs" : interval(atEqualLatency)} |`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { steps: { type: "string", default: "20" }, prompts: { type: "string", default: "8" } } });
  const [steps, count] = [Number(values.steps), Number(values.prompts)];
  if (!(values.steps in PLAIN_STEPS) || !(count >= 2 && 2 * count <= PAPER_PRESET.prompts.length)) throw new RangeError("expected --steps 20 or 50, and --prompts from 2 to 16");
  const pipeline = await loadPipeline(join("models", "fluent-ldm"));
  const halves = [PAPER_PRESET.prompts.slice(0, count), PAPER_PRESET.prompts.slice(count, 2 * count)];
  const profile = await profileChange(pipeline, { prompts: halves[0], seeds: [0, 1], steps, solver: SOLVER, schedulerConfig: TRAILING });
  const costs = await measureCosts(pipeline, { rows: 2 * count });
  const arms = armsOf(profile, steps);
  const chosenOn = judge(await measure(pipeline, halves[0], arms, 1, "choosing"), arms, steps, costs);
  const reportedRaw = await measure(pipeline, halves[1], arms, 2, "reporting");
  const reported = judge(reportedRaw, arms, steps, costs);
  if (process.stdout.isTTY) process.stdout.write("\n");

  const find = (name: string | undefined): Judged | undefined => reported.find((each) => each.name === name);
  const fastest = find(chosenOn.filter(({ againstPlain }) => againstPlain.high < NOT_WORSE).sort((a, b) => b.realised - a.realised)[0]?.name);
  const best = find(chosenOn.filter(({ realised, atEqualLatency }) => realised > 1.1 && atEqualLatency !== undefined).sort((a, b) => (a.atEqualLatency?.ratio ?? 0) - (b.atEqualLatency?.ratio ?? 0))[0]?.name);
  const empty: Schedule = { ...threshold(profile, { delta: 0 }), blocks: {} };
  const ceilings = Object.entries(KINDS).map(([label, kinds]) => {
    const ids = profile.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => id);
    return `${label} ${speedupCeiling(costs, empty, ids).toFixed(2)}`;
  });
  const head = "| arm | computed | speed-up, predicted | realised | distance | ÷ plain's (95 %) | ÷ plain's at equal latency (95 %) |\n| --- | --- | --- | --- | --- | --- | --- |";
  const lines = [
    "# bench/caching", "",
    `Embedded model, ${SOLVER}, trailing, ${steps} steps, guidance 5, ${count} prompts a half, batch ${2 * count}; ${cpus()[0].model}, ${cpus().length} cores. Distance: relative L2 of the final latents to the ${CONVERGED_STEPS}-step solution from the same noise. Chosen on one half of the prompts; every number below is of the other half. Speed-ups are of whole runs, best of two.`, "",
    `Ceiling by predicted time, were every such branch computed at the first step only: ${ceilings.join("; ")}.`, "",
    "## What was chosen", "",
    head,
    `${fastest === undefined ? "| none is faster and not worse than the plain run | | | | | | |" : row(fastest)}`,
    `${best === undefined ? "| none is comparable at equal latency | | | | | | |" : row(best)}`, "",
    `The first line: the fastest arm whose distance was not worse than plain ${steps} (interval below ${NOT_WORSE}) on the choosing half. The second: the best at equal latency there.`, "",
    "## All arms", "", head, ...reported.map(row), "",
    "| plain steps | seconds a batch | distance |", "| --- | --- | --- |",
    ...reportedRaw.filter(({ name }) => name.startsWith("plain ")).map(({ name, seconds, distances }) => `| ${name} | ${seconds.toFixed(2)} | ${mean(distances).toFixed(4)} |`), "",
  ];
  await writeResult(`caching-${steps}.md`, lines.join("\n"));
  await writeResult(`caching-${steps}.json`, `${JSON.stringify({ steps, prompts: halves, chosenOn, reported, plain: reportedRaw.filter(({ name }) => name.startsWith("plain ")) })}\n`);
  console.log(lines.join("\n"));
}

await main();
