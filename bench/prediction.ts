/**
 * Predicted against realised speed-up of whole samplings of the embedded model, at several batch sizes.
 *
 *   npm run bench:prediction -- [--rows 2,16] [--rounds 7]
 *
 * Realised is plain ÷ cached seconds within a round, the median over rounds; the arms take turns. "Blocks
 * only" is the prediction from the seconds of computing and reusing alone, as it was before costs knew what
 * keeping, extrapolating and the text cost. Writes bench/results/prediction.md and .json (every second).
 */
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { measureCosts } from "../src/caching/costs/costs.js";
import type { Costs } from "../src/caching/costs/costs.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { uniform } from "../src/caching/heuristics/uniform.js";
import { predictSpeedup } from "../src/caching/costs/predictSeconds.js";
import { hold, linear, quadratic } from "../src/caching/run/reuseRule.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import type { Pipeline } from "../src/diffusion/pipeline.js";
import { PAPER_PRESET } from "../src/instrument/profile/paperPreset.js";
import { profileChange } from "../src/instrument/profile/profileChange.js";
import { median, quantileOf } from "../src/instrument/profile/statistics.js";
import { finalLatents } from "../src/study/finalLatents.js";
import { writeResult } from "./results.js";

const STEPS = 12;
const SAMPLING = { solver: "dpmsolver++", steps: STEPS } as const;

/** Costs of computing and reusing alone: keeping, weighted sums and the text take nothing, and every block runs. */
function withoutTheRest(costs: Costs): Costs {
  const { compute, reuse: reused } = costs;
  const ids = Object.keys(compute);
  return {
    ...costs,
    keep: compute,
    reuse2: reused,
    reuse3: reused,
    text: Float64Array.of(0),
    network: [
      ...ids.map((id) => ({ id, reads: [], merge_reads: [], bytes_per_row: 0 })),
      { id: "all", reads: ids, bytes_per_row: 0 },
    ],
  };
}

async function measure(pipeline: Pipeline, rows: number, rounds: number) {
  const costs = await measureCosts(pipeline, { rows });
  const blocksOnly = withoutTheRest(costs);
  const profile = await profileChange(pipeline, { ...SAMPLING, prompts: ["a"], seeds: [0] });
  const trajectories = PAPER_PRESET.prompts.slice(0, rows / 2).map((prompt, seed) => ({ prompt, seed }));
  const arms = [
    ["transformers", ["transformer"], 2],
    ["all kinds", CACHEABLE_KINDS, 2],
    ["all kinds", CACHEABLE_KINDS, 4],
  ].flatMap(([label, kinds, interval]) =>
    [hold, linear, quadratic].map((reuse) => ({
      name: `every ${String(interval)}, ${String(label)}, ${reuse.name}`,
      schedule: uniform(profile, { interval: Number(interval), kinds: kinds as typeof CACHEABLE_KINDS }),
      reuse,
    })),
  );
  const timed = async (hooks: Parameters<typeof finalLatents>[2]["hooks"]): Promise<number> => {
    const started = performance.now();
    await finalLatents(pipeline, trajectories, { ...SAMPLING, hooks });
    return (performance.now() - started) / 1000;
  };
  const plain: number[] = [];
  const seconds: number[][] = arms.map(() => []);
  for (let round = -1; round < rounds; round++) {
    const whole = await timed([]);
    if (round >= 0) plain.push(whole);
    for (const [index, { schedule, reuse }] of arms.entries()) {
      const taken = await timed([cachedRun(schedule, { reuse })]);
      if (round >= 0) seconds[index].push(taken);
    }
  }
  return arms.map(({ name, schedule, reuse }, index) => {
    const ratios = seconds[index].map((each, round) => plain[round] / each);
    return {
      rows,
      name,
      before: predictSpeedup(blocksOnly, schedule),
      predicted: predictSpeedup(costs, schedule, reuse),
      realised: median(ratios),
      low: quantileOf(ratios, 0.25),
      high: quantileOf(ratios, 0.75),
      plain,
      seconds: seconds[index],
    };
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rows: { type: "string", default: "2,16" }, rounds: { type: "string", default: "7" } },
  });
  const pipeline = await loadPipeline(join("models", "fluent-ldm"));
  const results = [];
  for (const rows of values.rows.split(",").map(Number))
    results.push(...(await measure(pipeline, rows, Number(values.rounds))));
  const off = (predicted: number, realised: number): string =>
    `${predicted.toFixed(2)} (${predicted > realised ? "+" : ""}${(100 * (predicted / realised - 1)).toFixed(0)} %)`;
  const lines = [
    "# bench/prediction",
    "",
    `Embedded model, ${SAMPLING.solver}, ${STEPS} steps; speed-up of whole samplings, ${values.rounds} rounds, with the quartiles of the rounds; in brackets how far a prediction is above or below the realised median. ${cpus()[0].model}, ${cpus().length} cores.`,
    "",
    "| rows | arm | realised (quartiles) | predicted | blocks only |",
    "| --- | --- | --- | --- | --- |",
    ...results.map(
      ({ rows, name, realised, low, high, predicted, before }) =>
        `| ${rows} | ${name} | ${realised.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)}) | ${off(predicted, realised)} | ${off(before, realised)} |`,
    ),
    "",
  ];
  await writeResult("prediction.md", lines.join("\n"));
  await writeResult("prediction.json", `${JSON.stringify(results)}\n`);
  console.log(lines.join("\n"));
}

await main();
