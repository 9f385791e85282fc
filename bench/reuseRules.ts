/**
 * Which clock should an extrapolation run by? Every reuse rule on the same schedules, noise and prompts of
 * the embedded model: distance of the final latents to the plain run, and to a 200-step solution of the
 * same ODE.
 *
 *   npm run bench:reuse -- [--steps 20] [--prompts 4]
 *
 * Writes bench/results/reuse-rules-<steps>.md and .json (every trajectory).
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { threshold } from "../src/caching/heuristics/threshold.js";
import { uniform } from "../src/caching/heuristics/uniform.js";
import { REUSE_RULES } from "../src/caching/run/reuseRule.js";
import { computedShare } from "../src/caching/schedule/schedule.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { PAPER_PRESET } from "../src/instrument/profile/paperPreset.js";
import { profileChange } from "../src/instrument/profile/profileChange.js";
import { relativeDistances } from "../src/quality/distance.js";
import { finalLatents } from "../src/study/finalLatents.js";
import { writeResult } from "./results.js";

const SOLVER = "dpmsolver++";
const TRAILING = { timestep_spacing: "trailing" };
const CONVERGED_STEPS = 200;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { steps: { type: "string", default: "20" }, prompts: { type: "string", default: "4" } },
  });
  const [steps, count] = [Number(values.steps), Number(values.prompts)];
  const pipeline = await loadPipeline(join("models", "fluent-ldm"));
  const prompts = PAPER_PRESET.prompts.slice(0, count);
  const trajectories = prompts.map((prompt, seed) => ({ prompt, seed }));
  const sampling = { solver: SOLVER, schedulerConfig: TRAILING } as const;
  const profile = await profileChange(pipeline, { ...sampling, prompts, seeds: [0], steps });
  const plain = await finalLatents(pipeline, trajectories, { ...sampling, steps });
  const converged = await finalLatents(pipeline, trajectories, { ...sampling, steps: CONVERGED_STEPS });
  const schedules = [
    ...[2, 3, 4].map((interval) => ({
      name: `every ${interval}, all kinds`,
      schedule: uniform(profile, { interval, kinds: CACHEABLE_KINDS }),
    })),
    ...[2, 3].map((interval) => ({
      name: `every ${interval}, transformers`,
      schedule: uniform(profile, { interval }),
    })),
    { name: "threshold δ 0.2, transformers", schedule: threshold(profile, { delta: 0.2 }) },
  ];
  const rows: {
    name: string;
    rule: string;
    share: number;
    toPlain: readonly number[];
    toConverged: readonly number[];
  }[] = [];
  for (const { name, schedule } of schedules) {
    for (const reuse of REUSE_RULES) {
      const latents = await finalLatents(pipeline, trajectories, {
        ...sampling,
        steps,
        hooks: [cachedRun(schedule, { reuse })],
      });
      rows.push({
        name,
        rule: reuse.name,
        share: computedShare(schedule),
        toPlain: relativeDistances(latents, plain),
        toConverged: relativeDistances(latents, converged),
      });
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${name}, ${reuse.name}`);
    }
  }
  const mean = (list: readonly number[]): number => list.reduce((sum, each) => sum + each, 0) / list.length;
  const table = (
    of: (row: { toPlain: readonly number[]; toConverged: readonly number[] }) => readonly number[],
  ): string[] => [
    `| schedule | computed | ${REUSE_RULES.map(({ name }) => name).join(" | ")} |`,
    `| --- | --- |${" --- |".repeat(REUSE_RULES.length)}`,
    ...schedules.map(({ name }) => {
      const own = rows.filter((row) => row.name === name);
      const least = Math.min(...own.map((row) => mean(of(row))));
      return `| ${name} | ${(100 * own[0].share).toFixed(0)} % | ${own
        .map((row) => mean(of(row)))
        .map((each) => (each === least ? `**${each.toFixed(4)}**` : each.toFixed(4)))
        .join(" | ")} |`;
    }),
  ];
  const lines = [
    "# bench/reuse rules",
    "",
    `Embedded model, ${SOLVER}, trailing, ${steps} steps, guidance 5, ${count} prompts, a seed each; the mean of the trajectories' relative L2 of the final latents, the least of a row in bold. Plain ${steps} steps are ${mean(relativeDistances(plain, converged)).toFixed(4)} from the ${CONVERGED_STEPS}-step solution.`,
    "",
    "## To the plain run",
    "",
    ...table(({ toPlain }) => toPlain),
    "",
    `## To the ${CONVERGED_STEPS}-step solution`,
    "",
    ...table(({ toConverged }) => toConverged),
    "",
  ];
  await writeResult(`reuse-rules-${steps}.md`, lines.join("\n"));
  await writeResult(`reuse-rules-${steps}.json`, `${JSON.stringify({ steps, prompts, rows })}\n`);
  console.log(`\n${lines.join("\n")}`);
}

await main();
