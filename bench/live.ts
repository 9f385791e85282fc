/**
 * What watching costs: `live` (the image forms beside the change of each block) against `generate` of the same image,
 * in pairs, each pair in a random order. Jupyter's side is a stand-in that encodes every display message as the kernel
 * does before it is sent.
 *
 *   npm run bench:live -- [--pairs 60] [--steps 20] [--size 192] [--threads 2]
 *
 * Writes bench/results/live.json and live.md; live-<size> for another size in pixels than the model's own.
 */
import { createRequire } from "node:module";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { generate } from "../src/diffusion/sample.js";
import { changeMeter } from "../src/instrument/change/change.js";
import { median } from "../src/instrument/profile/statistics.js";
import { live } from "../src/notebook/live.js";
import { writeResult } from "./results.js";

const GOAL = 1.05;
/** Side of the image in pixels, the embedded model's own. */
const SIZE = 192;
/** Pause between two runs, so that no side's threads and garbage burden the other. */
const REST_MILLISECONDS = 250;

/** Takes the place of tslab's display channel (src/notebook/jupyter.ts finds it by its path); counts what it is given. */
function standInForJupyter(): { messages: number; bytes: number } {
  const sent = { messages: 0, bytes: 0 };
  const path = join("/", "tslab", "dist", "jupyter.js");
  const lastWriteDisplayData = (output: object): void => {
    sent.messages += 1;
    sent.bytes += Buffer.byteLength(JSON.stringify(output));
  };
  const { cache } = createRequire(import.meta.url);
  cache[path] = { exports: { lastWriteDisplayData } } as NodeModule;
  Object.assign(globalThis, { __tslab__: {} });
  return sent;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pairs: { type: "string", default: "60" },
      steps: { type: "string", default: "20" },
      size: { type: "string", default: String(SIZE) },
      threads: { type: "string", default: "2" },
    },
  });
  const [pairs, steps, size, threads] = [values.pairs, values.steps, values.size, values.threads].map(Number);
  const sent = standInForJupyter();
  const pipeline = await loadPipeline(join("models", "fluent-ldm"), { threads });
  const options = { prompt: "red apple", seed: 1, steps, width: size, height: size };
  const sides: Readonly<Record<string, () => Promise<unknown>>> = {
    plain: () => generate(pipeline, options),
    live: () => live(pipeline, options),
    "measuring only": async () => {
      const meter = changeMeter(pipeline, () => undefined);
      await generate(pipeline, { ...options, hooks: [meter] });
      meter.dispose();
    },
  };
  const seconds: Record<string, number[]> = {};
  // Not counted: the first runs plan memory, compile the decoder and fit the preview.
  for (const run of Object.values(sides)) await run();
  const before = { ...sent };
  for (let pair = 0; pair < pairs; pair++) {
    for (const name of Object.keys(sides).sort(() => Math.random() - 0.5)) {
      await new Promise((resolve) => setTimeout(resolve, REST_MILLISECONDS));
      const started = performance.now();
      await sides[name]();
      (seconds[name] ??= []).push((performance.now() - started) / 1000);
    }
  }
  await pipeline.dispose();
  const ratiosOf = (name: string): number[] => seconds[name].map((value, pair) => value / seconds.plain[pair]);
  const row = (name: string): string => {
    const ratios = ratiosOf(name);
    return `| ${name} ÷ plain | ${median(ratios).toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)}) |`;
  };
  const machine = `${cpus()[0].model}, ${cpus().length} cores, ${threads} threads; Node ${process.version}; load average ${loadavg()[0].toFixed(2)} at the end.`;
  const lines = [
    "# bench/live",
    "",
    machine,
    "",
    `The embedded model, one image of ${size}×${size}, ${steps} steps, decoding included; ${pairs} pairs. Plain takes ${median(seconds.plain).toFixed(2)} s. Goal: live ÷ plain ≤ ${GOAL}: ${median(ratiosOf("live")) <= GOAL ? "met" : "**missed**"}.`,
    "",
    "| ratio of one pair's seconds | median (min–max) |",
    "| --- | --- |",
    row("live"),
    row("measuring only"),
    "",
    `A live run sends ${((sent.messages - before.messages) / pairs).toFixed(0)} display messages, ${((sent.bytes - before.bytes) / pairs / 1024).toFixed(0)} KiB in all.`,
    "",
  ];
  const text = lines.join("\n");
  const file = size === SIZE ? "live" : `live-${size}`;
  await writeResult(`${file}.json`, `${JSON.stringify({ machine, pairs, steps, size, seconds }, null, 2)}\n`);
  await writeResult(`${file}.md`, text);
  console.log(text);
}

await main();
