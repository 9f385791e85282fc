/**
 * Seconds per step (one UNet evaluation) of the block-by-block engine against one single ONNX session and against
 * PyTorch + diffusers, the sides taking turns in one run on the same weights.
 *
 *   npm run bench:engine -- [--sd15] [--threads 2]      BLOCKCACHE_PYTHON=python with torch and diffusers
 *
 * Writes bench/results/engine.json and engine.md; with --sd15, which takes the network of Stable Diffusion 1.5's
 * shape instead of the embedded one, engine-sd15.json and engine-sd15.md.
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { describeUNet } from "../src/graphs/unet.js";
import type { UNet } from "../src/graphs/unet.js";
import { changeMeter } from "../src/instrument/change/change.js";
import { median } from "../src/instrument/profile/statistics.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { readJson } from "../src/files/json.js";
import { openWeights } from "../src/models/weights.js";
import { BlockNetwork } from "../src/engine/network/blockNetwork.js";
import type { CompiledGraph } from "../src/engine/backend.js";
import { openDevice } from "../src/engine/device.js";
import { onnxRuntime } from "../src/engine/native/library.js";
import { TIMESTEP, randomInputs, writeInputs } from "./inputs.js";
import type { InputShape } from "./inputs.js";
import { Peer, diffusersCommand } from "./peer.js";
import { writeRandomUNet } from "./randomUNet.js";
import { writeResult } from "./results.js";
import { SD15_UNET } from "./shapes.js";
import { openSingleSession, runSingleSession } from "./singleSession.js";
import { pairedRatios, takeTurns } from "./turns.js";
import type { MeasuredRatio, Ratio, Side, Timings } from "./turns.js";

const EMBEDDED = join("models", "fluent-ldm");

interface Footprint {
  readonly loadSeconds: number;
  readonly peakBytes: number;
  /** pages that one evaluation asked Linux for, after others had run */
  readonly pageFaults?: number;
  /** longest wait of the event loop during that evaluation */
  readonly loopMilliseconds?: number;
}

interface CaseResult {
  readonly name: string;
  readonly batch: number;
  readonly rounds: number;
  readonly medians: Record<string, number>;
  readonly ratios: readonly MeasuredRatio[];
  readonly outputsAgree: Record<string, number>;
  readonly timings: Timings;
}

interface Case {
  readonly batch: number;
  readonly rounds: number;
  /** counted evaluations of a turn after one that is not counted (turns.ts) */
  readonly following: number;
  /** what splitting may cost compared with the single session */
  readonly splitGoal: number;
}

interface Shape extends InputShape {
  readonly name: string;
  /** folder of the UNet component */
  readonly unetFolder: string;
  readonly cases: readonly Case[];
  /** of diffusers; bfloat16 is left out where a processor that emulates it takes many minutes per evaluation */
  readonly peerTypes: readonly ("float32" | "bfloat16")[];
}

async function describe(unetFolder: string): Promise<UNet> {
  const file = join(unetFolder, "config.json");
  return describeUNet(parseUNetConfig(await readJson(file), file));
}

async function openNetwork(unetFolder: string, threads: number): Promise<BlockNetwork> {
  return BlockNetwork.load(
    await describe(unetFolder),
    () => openWeights(unetFolder, "diffusion_pytorch_model"),
    await openDevice({ threads }),
  );
}

async function openSingle(unetFolder: string, threads: number): Promise<CompiledGraph> {
  const weights = await openWeights(unetFolder, "diffusion_pytorch_model");
  try {
    return await openSingleSession(await describe(unetFolder), weights, await openDevice({ threads }));
  } finally {
    await weights.close();
  }
}

function timed(evaluate: () => Promise<Float32Array>): Side {
  return async () => {
    const started = performance.now();
    const output = await evaluate();
    const seconds = (performance.now() - started) / 1000;
    return { seconds, meanAbsoluteOutput: output.reduce((sum, value) => sum + Math.abs(value), 0) / output.length };
  };
}

async function measureShape(
  shape: Shape,
  threads: number,
  python: string | undefined,
): Promise<{ cases: CaseResult[]; footprints: Record<string, Footprint>; peer?: string }> {
  const scratch = await mkdtemp(join(tmpdir(), "blockcache-bench-"));
  const peers = new Map<string, Peer>();
  try {
    const footprints: Record<string, Footprint> = {};
    for (const side of ["ours", "single"]) footprints[side] = footprintOf(side, shape.unetFolder, threads);
    const network = await openNetwork(shape.unetFolder, threads);
    const session = await openSingle(shape.unetFolder, threads);
    if (python !== undefined) {
      for (const dtype of shape.peerTypes)
        peers.set(dtype, await Peer.open(diffusersCommand(python, shape.unetFolder, { dtype, threads })));
    }
    const cases: CaseResult[] = [];
    for (const each of shape.cases) {
      const { batch } = each;
      const inputs = randomInputs(network.unet.config, shape, batch);
      const inputsFile = join(scratch, `inputs-${batch}.safetensors`);
      await writeInputs(inputsFile, inputs);
      const meter = changeMeter({ network }, () => undefined);
      let index = 0;
      const sides = new Map<string, Side>([
        ["ours", timed(async () => (await network.forward(inputs)).data)],
        ["single", timed(() => runSingleSession(session, network.unet, inputs, network.device))],
        [
          "ours, measuring change",
          timed(async () => {
            const evaluation = { index: index++, timestep: TIMESTEP, images: batch / 2, guided: true };
            return (await network.forward(inputs, { observers: [meter], evaluation })).data;
          }),
        ],
      ]);
      for (const [dtype, peer] of peers) {
        sides.set(`diffusers ${dtype}`, async () => {
          const run = await peer.run(inputsFile);
          footprints[`diffusers ${dtype}`] = {
            loadSeconds: peer.start.loadSeconds,
            peakBytes: run.peakBytes,
            pageFaults: run.pageFaults,
          };
          return run;
        });
      }
      cases.push(await measureCase(shape, each, sides));
      meter.dispose();
    }
    session.release();
    await network.dispose();
    return { cases, footprints, peer: peers.get("float32")?.start.versions };
  } finally {
    for (const peer of peers.values()) peer.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

async function measureCase(
  shape: Shape,
  { batch, rounds, following, splitGoal }: Case,
  sides: ReadonlyMap<string, Side>,
): Promise<CaseResult> {
  const { timings, outputs } = await takeTurns(`${shape.name}, batch ${batch}`, rounds, sides, following);
  const wanted: readonly Ratio[] = [
    { what: "split ÷ single", over: "ours", under: "single", goal: splitGoal },
    { what: "ours ÷ diffusers float32", over: "ours", under: "diffusers float32", goal: 0.8 },
    { what: "ours ÷ diffusers bfloat16", over: "ours", under: "diffusers bfloat16" },
    { what: "measuring change ÷ plain", over: "ours, measuring change", under: "ours", goal: 1.05 },
  ];
  return {
    name: shape.name,
    batch,
    rounds,
    medians: Object.fromEntries(Object.entries(timings).map(([name, values]) => [name, median(values)])),
    ratios: pairedRatios(wanted, timings),
    outputsAgree: Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, Math.abs(value - outputs.ours) / outputs.ours]),
    ),
    timings,
  };
}

/** Load time and memory of one side by itself, in a process of its own. */
function footprintOf(side: string, unetFolder: string, threads: number): Footprint {
  const output = execFileSync(
    process.execPath,
    [fileURLToPath(import.meta.url), "--footprint", side, "--unet", unetFolder, "--threads", String(threads)],
    { encoding: "utf8" },
  );
  return JSON.parse(output) as Footprint;
}

async function printFootprint(side: string, shape: Shape, threads: number): Promise<void> {
  const started = performance.now();
  const unet = await describe(shape.unetFolder);
  const inputs = randomInputs(unet.config, shape, 2);
  let evaluate: () => Promise<unknown>;
  if (side === "ours") {
    const network = await openNetwork(shape.unetFolder, threads);
    evaluate = () => network.forward(inputs);
  } else {
    const [single, device] = [await openSingle(shape.unetFolder, threads), await openDevice({ threads })];
    evaluate = () => runSingleSession(single, unet, inputs, device);
  }
  const loadSeconds = (performance.now() - started) / 1000;
  await evaluate();
  const peakBytes = await peakResidentBytes();
  await evaluate();
  const faultsBefore = process.resourceUsage().minorPageFault;
  // How long anything else has to wait for its turn during an evaluation.
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await evaluate();
  delay.disable();
  const pageFaults = process.resourceUsage().minorPageFault - faultsBefore;
  process.stdout.write(
    JSON.stringify({ loadSeconds, peakBytes, pageFaults, loopMilliseconds: delay.max / 1e6 } satisfies Footprint),
  );
}

async function peakResidentBytes(): Promise<number> {
  const kibibytes = /VmHWM:\s*(\d+)/.exec(await readFile("/proc/self/status", "utf8"))?.[1];
  return Number(kibibytes) * 1024;
}

function report(
  name: string,
  cases: readonly CaseResult[],
  footprints: Readonly<Record<string, Footprint>>,
  machine: string,
): string {
  const lines = [
    "# bench/engine",
    "",
    machine,
    "",
    "Ratios of one round's seconds an evaluation: median (min–max). Below 1 the first is faster.",
    "",
  ];
  lines.push("| network | batch | ratio | median (min–max) | goal | met |", "| --- | --- | --- | --- | --- | --- |");
  for (const { batch, ratios } of cases) {
    for (const { what, rounds, median: middle, min, max, goal, met } of ratios) {
      lines.push(
        `| ${name} | ${batch} | ${what} | ${middle.toFixed(3)} (${min.toFixed(3)}–${max.toFixed(3)}), ${rounds} rounds | ${goal === undefined ? "told only" : `≤ ${goal}`} | ${met === undefined ? "" : met ? "yes" : "**no**"} |`,
      );
    }
  }
  lines.push("", "| network | batch | side | mean of \\|output\\| differs from ours by |", "| --- | --- | --- | --- |");
  for (const { batch, outputsAgree } of cases) {
    for (const [side, difference] of Object.entries(outputsAgree))
      if (side !== "ours") lines.push(`| ${name} | ${batch} | ${side} | ${difference.toExponential(1)} |`);
  }
  lines.push(
    "",
    "| network | side | load, seconds | peak memory, MiB | page faults an evaluation | longest wait of the event loop, ms |",
    "| --- | --- | --- | --- | --- | --- |",
  );
  for (const [side, { loadSeconds, peakBytes, pageFaults, loopMilliseconds }] of Object.entries(footprints))
    lines.push(
      `| ${name} | ${side} | ${loadSeconds.toFixed(1)} | ${Math.round(peakBytes / 2 ** 20)} | ${pageFaults ?? "–"} | ${loopMilliseconds?.toFixed(0) ?? "–"} |`,
    );
  lines.push(
    "",
    "Peaks are of a process that loads and runs one evaluation at batch 2, page faults of its third; diffusers' are at the largest batch.",
    "",
  );
  return lines.join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      sd15: { type: "boolean", default: false },
      threads: { type: "string", default: "2" },
      footprint: { type: "string" },
      unet: { type: "string" },
    },
  });
  const threads = Number(values.threads);
  const embedded: Shape = {
    name: "embedded",
    unetFolder: join(EMBEDDED, "unet"),
    latentSize: 24,
    tokens: 32,
    cases: [
      { batch: 2, rounds: 40, following: 5, splitGoal: 1.05 },
      { batch: 16, rounds: 15, following: 2, splitGoal: 1.02 },
    ],
    peerTypes: ["float32", "bfloat16"],
  };
  const sd15 = (unetFolder: string): Shape => ({
    name: "SD-1.5 shape",
    unetFolder,
    latentSize: 64,
    tokens: 77,
    cases: [{ batch: 2, rounds: 5, following: 0, splitGoal: 1.02 }],
    peerTypes: ["float32"],
  });
  if (values.footprint !== undefined && values.unet !== undefined) {
    await printFootprint(values.footprint, values.unet === embedded.unetFolder ? embedded : sd15(values.unet), threads);
    return;
  }
  const python = process.env.BLOCKCACHE_PYTHON;
  if (python === undefined)
    console.log(
      "skipped: PyTorch + diffusers (set BLOCKCACHE_PYTHON to a Python that has torch, diffusers and safetensors)",
    );
  const load = loadavg()[0];
  const folder = await mkdtemp(join(tmpdir(), "blockcache-sd15-"));
  try {
    if (values.sd15) await writeRandomUNet(folder, SD15_UNET);
    const shape = values.sd15 ? sd15(folder) : embedded;
    const { cases, footprints, peer } = await measureShape(shape, threads, python);
    const machine = `${cpus()[0].model}, ${cpus().length} cores, ${threads} threads a side; Node ${process.version}, onnxruntime ${onnxRuntime().version}, ${peer ?? "no PyTorch"}; load average ${load.toFixed(2)} at the start.`;
    const text = report(shape.name, cases, footprints, machine);
    console.log(text);
    const name = values.sd15 ? "engine-sd15" : "engine";
    await writeResult(`${name}.json`, `${JSON.stringify({ machine, cases, footprints }, undefined, 1)}\n`);
    await writeResult(`${name}.md`, text);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
