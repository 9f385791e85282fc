/**
 * Peak resident memory (VmHWM) of loading, one guided sampling step and decoding one image, float32 on cpu, with random
 * weights in a published model's shape, in a process of its own.
 *
 *   npm run bench:memory -- [--shape sd15] [--shape sdxl] [--size 512]
 *
 * The weights (2 and 7 GB) are written into a temporary folder and deleted. Writes bench/results/memory.json and memory.md.
 */
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import { sample } from "../src/diffusion/sample.js";
import { ATTENTION_NAMES, decoderGraph, encoderGraph } from "../src/graphs/autoencoder.js";
import { clipEmbeddingsGraph, clipLayerGraph, clipNormGraph, clipProjectionGraph } from "../src/graphs/clipText.js";
import { FLOAT32 } from "../src/graphs/graphBuilder.js";
import { parseAutoencoderConfig } from "../src/models/configs/autoencoder.js";
import { parseClipTextConfig } from "../src/models/configs/clipText.js";
import { writeRandomUNet } from "./randomUNet.js";
import { writeComponent } from "./randomWeights.js";
import { writeResult } from "./results.js";
import { CLIP_L, OPEN_CLIP_BIG_G, SD15_UNET, SDXL_UNET, SD_VAE } from "./shapes.js";

const EMBEDDED = join("models", "fluent-ldm");
const GIB = 2 ** 30;

interface Shape {
  readonly name: string;
  readonly unet: object;
  readonly textEncoders: readonly object[];
  /** pixels, each way */
  readonly size: number;
  /** bytes, in total */
  readonly goal: number;
}

const SHAPES: Readonly<Record<string, Shape>> = {
  sd15: { name: "SD-1.5 shape, 512×512", unet: SD15_UNET, textEncoders: [CLIP_L], size: 512, goal: 5 * GIB },
  sdxl: {
    name: "SDXL shape, 1024×1024",
    unet: SDXL_UNET,
    textEncoders: [CLIP_L, OPEN_CLIP_BIG_G],
    size: 1024,
    goal: 17 * GIB,
  },
};

interface Phase {
  readonly phase: string;
  readonly seconds: number;
  /** most resident bytes during the phase */
  readonly peakBytes: number;
  /** resident bytes after it */
  readonly residentBytes: number;
}

async function writeModel(folder: string, { unet, textEncoders }: Shape): Promise<void> {
  await writeRandomUNet(join(folder, "unet"), unet);
  const vae = parseAutoencoderConfig(SD_VAE, "vae");
  const halves = [decoderGraph(vae, FLOAT32, ATTENTION_NAMES), encoderGraph(vae, FLOAT32, ATTENTION_NAMES)];
  await writeComponent(
    join(folder, "vae"),
    "diffusion_pytorch_model",
    SD_VAE,
    halves.flatMap((graph) => graph.storedTensors()),
  );
  const index: Record<string, unknown> = {
    _class_name: textEncoders.length > 1 ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline",
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
    scheduler: ["diffusers", "DDIMScheduler"],
  };
  for (const [order, json] of textEncoders.entries()) {
    const suffix = order === 0 ? "" : `_${order + 1}`;
    const config = parseClipTextConfig(json, "text_encoder");
    const clip = { config, tokens: config.max_position_embeddings, prefix: "text_model." };
    const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => clipLayerGraph(clip, layer, FLOAT32));
    const projection = order === 0 ? [] : [clipProjectionGraph(clip, 49407, FLOAT32)];
    const graphs = [clipEmbeddingsGraph(clip, FLOAT32), ...layers, clipNormGraph(clip, FLOAT32), ...projection];
    await writeComponent(
      join(folder, `text_encoder${suffix}`),
      "model",
      json,
      graphs.flatMap((graph) => graph.storedTensors()),
    );
    await cp(join(EMBEDDED, "tokenizer"), join(folder, `tokenizer${suffix}`), { recursive: true });
    index[`text_encoder${suffix}`] = ["transformers", order === 0 ? "CLIPTextModel" : "CLIPTextModelWithProjection"];
    index[`tokenizer${suffix}`] = ["transformers", "CLIPTokenizer"];
  }
  await cp(join(EMBEDDED, "scheduler"), join(folder, "scheduler"), { recursive: true });
  await writeFile(join(folder, "model_index.json"), JSON.stringify(index));
}

/** Runs the phases in this process, resetting the peak before each. */
async function measure(folder: string, size: number): Promise<Phase[]> {
  const phases: Phase[] = [];
  const inPhase = async <T>(phase: string, work: () => Promise<T>): Promise<T> => {
    await writeFile("/proc/self/clear_refs", "5");
    const started = performance.now();
    const result = await work();
    const status = await readFile("/proc/self/status", "utf8");
    const kibibytes = (key: string): number => Number(new RegExp(`${key}:\\s*(\\d+)`).exec(status)?.[1]) * 1024;
    phases.push({
      phase,
      seconds: (performance.now() - started) / 1000,
      peakBytes: kibibytes("VmHWM"),
      residentBytes: kibibytes("VmRSS"),
    });
    process.stderr.write(
      `${phase}: peak ${(kibibytes("VmHWM") / GIB).toFixed(2)} GiB, then ${(kibibytes("VmRSS") / GIB).toFixed(2)} GiB\n`,
    );
    return result;
  };
  const pipeline = await inPhase("load the UNet", () => loadPipeline(folder));
  await inPhase("load the text encoders, encode", () => pipeline.encodePrompts(["a red apple", ""]));
  const latents = await inPhase("one guided step", async () => {
    const run = sample(pipeline, { prompt: "a red apple", steps: 1, height: size, width: size });
    const { value } = await run.next();
    await run.return();
    if (value === undefined) throw new TypeError("the solver yielded no step");
    return value.latents;
  });
  await inPhase("decode", () => pipeline.decode(latents));
  return phases;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { shape: { type: "string", multiple: true }, size: { type: "string" }, phases: { type: "string" } },
  });
  if (values.phases !== undefined) {
    process.stdout.write(JSON.stringify(await measure(values.phases, Number(values.size))));
    return;
  }
  const results: Record<string, { goal: number; phases: Phase[] }> = {};
  for (const key of values.shape ?? Object.keys(SHAPES)) {
    const shape = SHAPES[key];
    if (shape === undefined)
      throw new RangeError(`--shape: expected ${Object.keys(SHAPES).join(" or ")}, found ${key}`);
    const folder = await mkdtemp(join(tmpdir(), "blockcache-memory-"));
    try {
      await writeModel(folder, shape);
      const size = values.size ?? String(shape.size);
      const output = execFileSync(
        process.execPath,
        [fileURLToPath(import.meta.url), "--phases", folder, "--size", size],
        { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
      );
      results[shape.name] = { goal: shape.goal, phases: JSON.parse(output) as Phase[] };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  await writeResult("memory.json", `${JSON.stringify(results, undefined, 1)}\n`);
  await writeResult("memory.md", report(results));
}

function report(results: Readonly<Record<string, { goal: number; phases: readonly Phase[] }>>): string {
  const gib = (bytes: number): string => (bytes / GIB).toFixed(2);
  const lines = [
    "# bench/memory",
    "",
    `${cpus().length} × ${cpus()[0].model}, ${gib(totalmem())} GiB; Node ${process.version}; float32 on cpu, one image with guidance.`,
    "",
  ];
  lines.push(
    "| network | phase | peak GiB | after it | seconds | goal in all | met |",
    "| --- | --- | --- | --- | --- | --- | --- |",
  );
  for (const [name, { goal, phases }] of Object.entries(results)) {
    for (const { phase, peakBytes, residentBytes, seconds } of phases) {
      lines.push(
        `| ${name} | ${phase} | ${gib(peakBytes)} | ${gib(residentBytes)} | ${seconds.toFixed(1)} | ${gib(goal)} | ${peakBytes <= goal ? "yes" : "**no**"} |`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

await main();
