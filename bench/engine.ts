/**
 * Seconds a step (one UNet evaluation) of the block-by-block engine against one single ONNX session
 * and against PyTorch + diffusers, the sides taking turns in one run on the same weights.
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
import { parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { Pipeline } from "../src/diffusion/pipeline.js";
import { TextEncoders } from "../src/diffusion/textEncoders.js";
import { embedTimestep } from "../src/graphs/timestepEmbedding.js";
import { describeUNet } from "../src/graphs/unet.js";
import type { UNet } from "../src/graphs/unet.js";
import { changeMeter } from "../src/instrument/change.js";
import { median } from "../src/instrument/statistics.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import type { UNetConfig } from "../src/models/configs/unet.js";
import { openModelFolder } from "../src/models/folder.js";
import { readJson } from "../src/models/json.js";
import { writeSafetensors } from "../src/models/safetensors.js";
import { elementCount } from "../src/models/tensor.js";
import type { FloatTensor } from "../src/models/tensor.js";
import { openWeights } from "../src/models/weights.js";
import { BlockNetwork } from "../src/runtime/blockNetwork.js";
import type { UNetInputs } from "../src/runtime/unetInputs.js";
import { openDevice } from "../src/runtime/device.js";
import { Peer } from "./peer.js";
import { writeResult } from "./results.js";
import { writeSd15 } from "./sd15.js";
import { openSingleSession } from "./singleSession.js";

const EMBEDDED = join("models", "fluent-ldm");
const TIMESTEP = 601;

/** Seconds of each round, in turn. */
type Timings = Record<string, number[]>;

interface Footprint {
  readonly loadSeconds: number;
  readonly peakBytes: number;
}

interface Ratio {
  readonly what: string;
  readonly over: string;
  readonly under: string;
  /** at most; absent where the ratio is only told */
  readonly goal?: number;
}

interface CaseResult {
  readonly name: string;
  readonly batch: number;
  readonly rounds: number;
  readonly medians: Record<string, number>;
  readonly ratios: readonly (Ratio & { rounds: number; median: number; min: number; max: number; met?: boolean })[];
  readonly outputsAgree: Record<string, number>;
  readonly timings: Timings;
}

interface Shape {
  readonly name: string;
  /** folder of the UNet component */
  readonly unetFolder: string;
  readonly latentSize: number;
  readonly tokens: number;
  readonly cases: readonly { readonly batch: number; readonly rounds: number }[];
  readonly splitGoal: number;
  /** fewer than the others' where the processor computes bfloat16 by emulation, minutes an evaluation */
  readonly bfloat16Rounds: number;
}

async function describe(unetFolder: string): Promise<UNet> {
  const file = join(unetFolder, "config.json");
  return describeUNet(parseUNetConfig(await readJson(file), file));
}

async function openNetwork(unetFolder: string, threads: number): Promise<BlockNetwork> {
  return BlockNetwork.load(await describe(unetFolder), await openWeights(unetFolder, "diffusion_pytorch_model"), await openDevice({ threads }));
}

async function openSingle(unetFolder: string, folder: string, threads: number): Promise<ort.InferenceSession> {
  const weights = await openWeights(unetFolder, "diffusion_pytorch_model");
  try {
    return await openSingleSession(await describe(unetFolder), weights, folder, threads);
  } finally {
    await weights.close();
  }
}

function makeInputs(config: UNetConfig, { latentSize, tokens }: Shape, batch: number): UNetInputs {
  let state = 7;
  const fill = (dims: readonly number[]): FloatTensor => ({
    dims,
    data: new Float32Array(elementCount(dims)).map(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32 - 0.5) * 3.46;
    }),
  });
  const { in_channels, cross_attention_dim } = config;
  return {
    sample: fill([batch, in_channels, latentSize, latentSize]),
    timestep: TIMESTEP,
    encoderHiddenStates: fill([batch, tokens, [cross_attention_dim].flat()[0]]),
  };
}

/** One side's evaluation; gives its output or the mean of |output|. */
type Side = () => Promise<{ seconds: number; meanAbsoluteOutput: number }>;

function timed(evaluate: () => Promise<Float32Array>): Side {
  return async () => {
    const started = performance.now();
    const output = await evaluate();
    const seconds = (performance.now() - started) / 1000;
    return { seconds, meanAbsoluteOutput: output.reduce((sum, value) => sum + Math.abs(value), 0) / output.length };
  };
}

async function runSingle(session: ort.InferenceSession, { config }: UNet, inputs: UNetInputs): Promise<Float32Array> {
  const width = config.block_out_channels[0];
  const tensor = ({ dims, data }: FloatTensor): ort.Tensor => new ort.Tensor("float32", data, dims);
  const results = await session.run({
    sample: tensor(inputs.sample),
    timestep_embedding: tensor({ dims: [1, width], data: embedTimestep(config, width, inputs.timestep) }),
    encoder_hidden_states: tensor(inputs.encoderHiddenStates),
  });
  return results.out.data as Float32Array;
}

async function measureShape(shape: Shape, threads: number, python: string | undefined): Promise<{ cases: CaseResult[]; footprints: Record<string, Footprint>; peer?: string }> {
  const scratch = await mkdtemp(join(tmpdir(), "blockcache-bench-"));
  const peers = new Map<string, Peer>();
  try {
    const footprints: Record<string, Footprint> = {};
    for (const side of ["ours", "single"]) footprints[side] = footprintOf(side, shape.unetFolder, threads);
    const network = await openNetwork(shape.unetFolder, threads);
    const session = await openSingle(shape.unetFolder, scratch, threads);
    if (python !== undefined) {
      for (const dtype of ["float32", "bfloat16"] as const) peers.set(dtype, await Peer.open(python, shape.unetFolder, dtype, threads));
    }
    // The meter reads nothing of a pipeline but its device; the other parts are the embedded model's.
    const folder = await openModelFolder(EMBEDDED);
    const pipeline = new Pipeline(folder, network.device, network, await TextEncoders.open(folder, network.device));

    const cases: CaseResult[] = [];
    for (const { batch, rounds } of shape.cases) {
      const inputs = makeInputs(network.unet.config, shape, batch);
      const inputsFile = join(scratch, `inputs-${batch}.safetensors`);
      await writeSafetensors(inputsFile, new Map([["sample", inputs.sample], ["encoder_hidden_states", inputs.encoderHiddenStates]].map(([name, tensor]) => [name as string, { dtype: "F32" as const, ...(tensor as FloatTensor) }])));
      const meter = changeMeter(pipeline, () => undefined);
      let index = 0;
      const sides = new Map<string, Side>([
        ["ours", timed(async () => (await network.forward(inputs)).data)],
        ["single", timed(() => runSingle(session, network.unet, inputs))],
        [
          "ours, measuring change",
          timed(async () => {
            const evaluation = { index: index++, timestep: TIMESTEP, images: batch / 2, guided: true };
            const output = await network.forward(inputs, { observer: meter, evaluation });
            await meter.evaluated?.(evaluation);
            return output.data;
          }),
        ],
      ]);
      for (const [dtype, peer] of peers) {
        sides.set(`diffusers ${dtype}`, async () => {
          const run = await peer.run(inputsFile);
          footprints[`diffusers ${dtype}`] = { loadSeconds: peer.start.loadSeconds, peakBytes: run.peakBytes };
          return run;
        });
      }
      cases.push(await takeTurns(shape, batch, rounds, sides));
      meter.dispose();
    }
    await session.release();
    await network.dispose();
    const start = peers.get("float32")?.start;
    return { cases, footprints, ...(start === undefined ? {} : { peer: `torch ${start.torch}, diffusers ${start.diffusers}` }) };
  } finally {
    for (const peer of peers.values()) peer.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Between two turns: the threads of the side before spin for up to 200 ms (OpenMP's default) before they sleep. */
const REST_MILLISECONDS = 250;

function shuffled<T>(items: readonly T[]): T[] {
  return items.map((item) => ({ item, key: Math.random() })).sort((a, b) => a.key - b.key).map(({ item }) => item);
}

async function takeTurns(shape: Shape, batch: number, rounds: number, sides: ReadonlyMap<string, Side>): Promise<CaseResult> {
  const timings: Timings = {};
  const outputs: Record<string, number> = {};
  for (const [name, side] of sides) {
    timings[name] = [];
    // Not counted: the first run plans memory, and the meter has nothing to compare with yet.
    outputs[name] = (await side()).meanAbsoluteOutput;
  }
  for (let round = 0; round < rounds; round++) {
    // Another order each time, so that none always comes after the same one.
    for (const [name, side] of shuffled([...sides])) {
      if (name === "diffusers bfloat16" && round >= shape.bfloat16Rounds) continue;
      await new Promise((resolve) => setTimeout(resolve, REST_MILLISECONDS));
      timings[name].push((await side()).seconds);
    }
    if (process.stdout.isTTY) process.stdout.write(`\r${shape.name}, batch ${batch}: round ${round + 1} of ${rounds}${round + 1 === rounds ? "\n" : ""}`);
  }
  const wanted: readonly Ratio[] = [
    { what: "split ÷ single", over: "ours", under: "single", goal: shape.splitGoal },
    { what: "ours ÷ diffusers float32", over: "ours", under: "diffusers float32", goal: 0.8 },
    { what: "ours ÷ diffusers bfloat16", over: "ours", under: "diffusers bfloat16" },
    { what: "measuring change ÷ plain", over: "ours, measuring change", under: "ours", goal: 1.05 },
  ];
  const ratios = wanted
    .filter(({ over, under }) => over in timings && under in timings)
    .map((ratio) => {
      const values = timings[ratio.over].slice(0, timings[ratio.under].length).map((seconds, round) => seconds / timings[ratio.under][round]);
      const middle = median(values);
      return { ...ratio, rounds: values.length, median: middle, min: Math.min(...values), max: Math.max(...values), ...(ratio.goal === undefined ? {} : { met: middle <= ratio.goal }) };
    });
  return {
    name: shape.name,
    batch,
    rounds,
    medians: Object.fromEntries(Object.entries(timings).map(([name, values]) => [name, median(values)])),
    ratios,
    outputsAgree: Object.fromEntries(Object.entries(outputs).map(([name, value]) => [name, Math.abs(value - outputs.ours) / outputs.ours])),
    timings,
  };
}

/** Load time and memory of one side alone, in a process of its own. */
function footprintOf(side: string, unetFolder: string, threads: number): Footprint {
  const output = execFileSync(process.execPath, [fileURLToPath(import.meta.url), "--footprint", side, "--unet", unetFolder, "--threads", String(threads)], { encoding: "utf8" });
  return JSON.parse(output) as Footprint;
}

async function printFootprint(side: string, shape: Shape, threads: number): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), "blockcache-bench-"));
  try {
    const started = performance.now();
    const unet = await describe(shape.unetFolder);
    const inputs = makeInputs(unet.config, shape, 2);
    const network = side === "ours" ? await openNetwork(shape.unetFolder, threads) : undefined;
    const session = side === "single" ? await openSingle(shape.unetFolder, scratch, threads) : undefined;
    const loadSeconds = (performance.now() - started) / 1000;
    await network?.forward(inputs);
    if (session !== undefined) await runSingle(session, unet, inputs);
    const kibibytes = /VmHWM:\s*(\d+)/.exec(await readFile("/proc/self/status", "utf8"))?.[1];
    process.stdout.write(JSON.stringify({ loadSeconds, peakBytes: Number(kibibytes) * 1024 } satisfies Footprint));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function report(name: string, cases: readonly CaseResult[], footprints: Readonly<Record<string, Footprint>>, machine: string): string {
  const lines = ["# bench/engine", "", machine, "", "Ratios of one round's seconds: median (min–max). Below 1 the first is faster.", ""];
  lines.push("| network | batch | ratio | median (min–max) | goal | met |", "| --- | --- | --- | --- | --- | --- |");
  for (const { batch, ratios } of cases) {
    for (const { what, rounds, median: middle, min, max, goal, met } of ratios) {
      lines.push(`| ${name} | ${batch} | ${what} | ${middle.toFixed(3)} (${min.toFixed(3)}–${max.toFixed(3)}), ${rounds} rounds | ${goal === undefined ? "told only" : `≤ ${goal}`} | ${met === undefined ? "" : met ? "yes" : "**no**"} |`);
    }
  }
  lines.push("", "| network | batch | side | mean of \\|output\\| differs from ours by |", "| --- | --- | --- | --- |");
  for (const { batch, outputsAgree } of cases) {
    for (const [side, difference] of Object.entries(outputsAgree)) if (side !== "ours") lines.push(`| ${name} | ${batch} | ${side} | ${difference.toExponential(1)} |`);
  }
  lines.push("", "| network | side | load, seconds | peak memory, MiB |", "| --- | --- | --- | --- |");
  for (const [side, { loadSeconds, peakBytes }] of Object.entries(footprints)) lines.push(`| ${name} | ${side} | ${loadSeconds.toFixed(1)} | ${Math.round(peakBytes / 2 ** 20)} |`);
  lines.push("", "Loading the single session includes writing its ONNX file. Peaks are of a process that loads and runs one evaluation at batch 2; diffusers' at the largest batch.", "");
  return lines.join("\n");
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sd15: { type: "boolean", default: false }, threads: { type: "string", default: "2" }, footprint: { type: "string" }, unet: { type: "string" } } });
  const threads = Number(values.threads);
  const embedded: Shape = { name: "embedded", unetFolder: join(EMBEDDED, "unet"), latentSize: 16, tokens: 32, cases: [{ batch: 2, rounds: 40 }, { batch: 16, rounds: 12 }], splitGoal: 1.1, bfloat16Rounds: Infinity };
  const sd15 = (unetFolder: string): Shape => ({ name: "SD-1.5 shape", unetFolder, latentSize: 64, tokens: 77, cases: [{ batch: 2, rounds: 5 }], splitGoal: 1.03, bfloat16Rounds: 1 });
  if (values.footprint !== undefined && values.unet !== undefined) {
    await printFootprint(values.footprint, values.unet === embedded.unetFolder ? embedded : sd15(values.unet), threads);
    return;
  }
  const python = process.env.BLOCKCACHE_PYTHON;
  if (python === undefined) console.log("skipped: PyTorch + diffusers (set BLOCKCACHE_PYTHON to a Python that has torch, diffusers and safetensors)");
  const load = loadavg()[0];
  const folder = await mkdtemp(join(tmpdir(), "blockcache-sd15-"));
  try {
    if (values.sd15) await writeSd15(folder);
    const shape = values.sd15 ? sd15(folder) : embedded;
    const { cases, footprints, peer } = await measureShape(shape, threads, python);
    const machine = `${cpus()[0].model}, ${cpus().length} cores, ${threads} threads a side; Node ${process.version}, onnxruntime ${ort.env.versions.node ?? "?"}, ${peer ?? "no PyTorch"}; load average ${load.toFixed(2)} at the start.`;
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
