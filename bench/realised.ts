/**
 * How much of the ideal speed-up a cached run really reaches. Ideal: plain time minus the time of the skipped
 * branches, as measured for the same blocks in the plain evaluations of the same run.
 *
 *   npm run bench:realised -- [--shapes embedded,sd15] [--device webgpu] [--precision float16]
 *
 * Only network evaluations are timed, with the hook that sampling uses; every second one reuses. Plain and cached take
 * turns. A GPU may still be computing when the next block starts, so there the seconds of single blocks, and with them
 * the ideal, mean nothing and are not reported. Writes bench/results/realised.md and .json (every second), with the
 * device and precision in their names where it is not cpu.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { speedups, timeRealised } from "../src/caching/costs/realised.js";
import type { Realised } from "../src/caching/costs/realised.js";
import { regularSchedule } from "../src/caching/schedule/regularSchedule.js";
import { hold, linear } from "../src/caching/run/reuseRule.js";
import type { ReuseRule } from "../src/caching/run/reuseRule.js";
import { Pipeline, loadPipeline } from "../src/diffusion/pipeline.js";
import type { BlockKind } from "../src/graphs/block.js";
import type { Precision } from "../src/graphs/graphBuilder.js";
import { describeUNet } from "../src/graphs/unet.js";
import { median } from "../src/instrument/profile/statistics.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { readJson } from "../src/files/json.js";
import { openWeights } from "../src/models/weights.js";
import { BlockNetwork } from "../src/engine/network/blockNetwork.js";
import type { Device } from "../src/engine/device.js";
import type { DeviceName } from "../src/engine/devices.js";
import { randomInputs } from "./inputs.js";
import { writeResult } from "./results.js";
import { writeRandomUNet } from "./randomUNet.js";
import { SD15_UNET } from "./shapes.js";

const INTERVAL = 2;
const GOALS: Readonly<Record<string, number>> = { "SD-1.5 shape": 0.95, embedded: 0.9 };

interface Shape {
  readonly name: string;
  readonly rows: number;
  readonly latentSize: number;
  readonly tokens: number;
  readonly rounds: number;
}

interface Arm {
  readonly label: string;
  readonly kinds: readonly BlockKind[];
  readonly reuse: ReuseRule;
}

const ARMS: readonly Arm[] = [
  { label: "transformers", kinds: ["transformer"], reuse: hold },
  { label: "all kinds", kinds: CACHEABLE_KINDS, reuse: hold },
  { label: "all kinds", kinds: CACHEABLE_KINDS, reuse: linear },
];

async function measure(pipeline: Pipeline, shape: Shape) {
  const timings: Realised[][] = ARMS.map(() => []);
  const { sample, encoderHiddenStates } = randomInputs(pipeline.network.unet.config, shape, shape.rows);
  for (let round = -1; round < shape.rounds; round++) {
    for (const [index, { kinds, reuse }] of ARMS.entries()) {
      const timed = await timeRealised(
        pipeline,
        await regularSchedule(pipeline, { kinds, interval: INTERVAL, steps: 2 * INTERVAL }),
        { reuse, inputs: { sample, encoderHiddenStates } },
      );
      // Not counted: the first round compiles merge sessions and plans memory.
      if (round >= 0) timings[index].push(timed);
    }
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${shape.name}: round ${round + 1} of ${shape.rounds}`);
  }
  return ARMS.map(({ label, reuse }, index) => ({
    network: shape.name,
    rows: shape.rows,
    arm: `every ${INTERVAL}, ${label}, ${reuse.name}`,
    ...ratiosOf(timings[index]),
  }));
}

/** One entry per round. */
function ratiosOf(
  timings: readonly Realised[],
): Record<"plainSeconds" | "realised" | "ideal" | "share", readonly number[]> {
  const reached = timings.map(speedups);
  return {
    plainSeconds: timings.map(({ plainSeconds }) => plainSeconds / (2 * INTERVAL)),
    realised: reached.map(({ realised }) => realised),
    ideal: reached.map(({ ideal }) => ideal),
    share: reached.map(({ realised, ideal }) => realised / ideal),
  };
}

async function measureSd15(embedded: Pipeline): Promise<Awaited<ReturnType<typeof measure>>> {
  const folder = await mkdtemp(join(tmpdir(), "blockcache-sd15-"));
  try {
    await writeRandomUNet(folder, SD15_UNET);
    const file = join(folder, "config.json");
    const network = await BlockNetwork.load(
      describeUNet(parseUNetConfig(await readJson(file), file)),
      () => openWeights(folder, "diffusion_pytorch_model"),
      embedded.device,
    );
    // Of a pipeline the hook reads only its network, device and solver; the other parts are the embedded model's.
    const measured = await measure(new Pipeline(embedded.folder, embedded.device, network, embedded.text), {
      name: "SD-1.5 shape",
      rows: 2,
      latentSize: 64,
      tokens: 77,
      rounds: 3,
    });
    await network.dispose();
    return measured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Result = Awaited<ReturnType<typeof measure>>[number];

function report(device: Device, results: readonly Result[]): string {
  const spread = (values: readonly number[], digits: number): string =>
    `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
  const intro = `medians over rounds (least–most); every second of ${2 * INTERVAL} evaluations reuses. ${cpus()[0].model}, ${cpus().length} cores.`;
  if (device.name === "cpu") {
    return [
      "# bench/realised",
      "",
      `Realised speed-up ÷ ideal, ${intro}`,
      "",
      "| network | rows | arm | ideal | realised | realised ÷ ideal | goal | met |",
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
      ...results.map(
        ({ network, rows, arm, ideal, realised, share }) =>
          `| ${network} | ${rows} | ${arm} | ${median(ideal).toFixed(2)} | ${median(realised).toFixed(2)} | ${spread(share, 3)} | ≥ ${GOALS[network]} | ${median(share) >= GOALS[network] ? "yes" : "**no**"} |`,
      ),
      "",
    ].join("\n");
  }
  return [
    `# bench/realised, ${device.name}, ${device.precision}`,
    "",
    `Realised speed-up, ${intro}`,
    "",
    "| network | rows | arm | realised | a plain evaluation, ms |",
    "| --- | --- | --- | --- | --- |",
    ...results.map(
      ({ network, rows, arm, realised, plainSeconds }) =>
        `| ${network} | ${rows} | ${arm} | ${spread(realised, 2)} | ${(1000 * median(plainSeconds)).toFixed(1)} |`,
    ),
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      shapes: { type: "string", default: "embedded" },
      device: { type: "string", default: "cpu" },
      precision: { type: "string", default: "float32" },
    },
  });
  const embedded = await loadPipeline(join("models", "fluent-ldm"), {
    device: values.device as DeviceName,
    precision: values.precision as Precision,
  });
  const shapes = values.shapes.split(",");
  const results: Result[] = [];
  if (shapes.includes("embedded"))
    results.push(...(await measure(embedded, { name: "embedded", rows: 16, latentSize: 24, tokens: 32, rounds: 15 })));
  if (shapes.includes("sd15")) results.push(...(await measureSd15(embedded)));
  const { device } = embedded;
  const name = device.name === "cpu" ? "realised" : `realised-${device.name}-${device.precision}`;
  const text = report(device, results);
  await writeResult(`${name}.md`, text);
  await writeResult(`${name}.json`, `${JSON.stringify(results)}\n`);
  console.log(text);
}

await main();
