/**
 * How much of the ideal speed-up a cached run really reaches. Ideal: plain time minus the time of the skipped
 * branches, as the same blocks took in the plain evaluations beside it.
 *
 *   npm run bench:realised -- [--sd15]
 *
 * Network evaluations alone, by the hook that sampling uses, every second of them reusing; plain and cached
 * take turns. Writes bench/results/realised.md and .json (every second).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cachedRun } from "../src/caching/cachedRun.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { hold, linear } from "../src/caching/reuseRule.js";
import type { ReuseRule } from "../src/caching/reuseRule.js";
import type { Schedule } from "../src/caching/schedule.js";
import { Pipeline, loadPipeline } from "../src/diffusion/pipeline.js";
import { planSampling } from "../src/diffusion/samplingPlan.js";
import type { BlockKind } from "../src/graphs/block.js";
import { describeUNet } from "../src/graphs/unet.js";
import { median } from "../src/instrument/statistics.js";
import { parseUNetConfig } from "../src/models/configs/unet.js";
import { readJson } from "../src/models/json.js";
import { elementCount } from "../src/models/tensor.js";
import type { FloatTensor } from "../src/models/tensor.js";
import { openWeights } from "../src/models/weights.js";
import { BlockNetwork } from "../src/runtime/blockNetwork.js";
import type { BlockObserver } from "../src/runtime/observer.js";
import { writeResult } from "./results.js";
import { writeRandomUNet } from "./randomUNet.js";
import { SD15_UNET } from "./shapes.js";

const EVALUATIONS = 4;
const COMPUTED = [0, 2];
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

/** Seconds of each evaluation, and of each stage in it. */
interface Timed {
  readonly seconds: number;
  readonly stages: ReadonlyMap<string, number>[];
}

const total = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);

function patterned(dims: readonly number[]): FloatTensor {
  return { dims, data: Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index)) };
}

async function evaluate(network: BlockNetwork, { rows, latentSize, tokens }: Shape, timesteps: readonly number[], observer?: BlockObserver): Promise<Timed> {
  const { in_channels, cross_attention_dim } = network.unet.config;
  const inputs = { sample: patterned([rows, in_channels, latentSize, latentSize]), encoderHiddenStates: patterned([rows, tokens, [cross_attention_dim].flat()[0]]) };
  const stages: Map<string, number>[] = [];
  const started = performance.now();
  for (const [index, timestep] of timesteps.entries()) {
    const taken = new Map<string, number>();
    const evaluation = { index, timestep, images: rows / 2, guided: true };
    await network.forward({ ...inputs, timestep }, { observer, evaluation, onStageTime: (id, seconds) => taken.set(id, seconds) });
    await observer?.evaluated?.(evaluation);
    stages.push(taken);
  }
  return { seconds: (performance.now() - started) / 1000, stages };
}

async function measure(pipeline: Pipeline, shape: Shape) {
  const { network } = pipeline;
  const plan = planSampling(pipeline, { prompt: "", steps: EVALUATIONS });
  const { timesteps, name: solver } = plan.solver;
  const schedule = (kinds: readonly BlockKind[]): Schedule => ({
    format: "blockcache-schedule", version: 1, model: { fingerprint: "", name: shape.name }, solver, num_inference_steps: EVALUATIONS, timesteps, guidance_scale: plan.guidanceScale, heuristic: { name: "uniform", interval: 2 },
    blocks: Object.fromEntries(network.blocks.filter(({ kind }) => kinds.includes(kind)).map(({ id }) => [id, COMPUTED])),
  });
  const ratios = ARMS.map(() => ({ realised: [] as number[], ideal: [] as number[], share: [] as number[] }));
  for (let round = -1; round < shape.rounds; round++) {
    for (const [index, { kinds, reuse }] of ARMS.entries()) {
      const plain = await evaluate(network, shape, timesteps);
      const hook = cachedRun(schedule(kinds), { reuse, allow: ["model"] });
      await hook.begin?.(pipeline, plan);
      const cached = await evaluate(network, shape, timesteps, hook);
      hook.end?.();
      if (round < 0) continue;
      // What ran neither its branch nor its merge was not needed by anything: it is skipped as well.
      const ran = (id: string, evaluation: number): boolean => hook.computedAt.get(id)?.includes(evaluation) ?? false;
      const skipped = total(plain.stages.flatMap((stages, evaluation) => [...stages].filter(([id]) => network.blocks.some((block) => block.id === id) && !ran(id, evaluation)).map(([, seconds]) => seconds)));
      ratios[index].realised.push(plain.seconds / cached.seconds);
      ratios[index].ideal.push(plain.seconds / (plain.seconds - skipped));
      ratios[index].share.push(plain.seconds / cached.seconds / (plain.seconds / (plain.seconds - skipped)));
    }
    if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${shape.name}: round ${round + 1} of ${shape.rounds}`);
  }
  return ARMS.map(({ label, reuse }, index) => ({ network: shape.name, rows: shape.rows, arm: `every 2, ${label}, ${reuse.name}`, ...ratios[index] }));
}

async function measureSd15(embedded: Pipeline): Promise<Awaited<ReturnType<typeof measure>>> {
  const folder = await mkdtemp(join(tmpdir(), "blockcache-sd15-"));
  try {
    await writeRandomUNet(folder, SD15_UNET);
    const file = join(folder, "config.json");
    const network = await BlockNetwork.load(describeUNet(parseUNetConfig(await readJson(file), file)), await openWeights(folder, "diffusion_pytorch_model"), embedded.device);
    // The hook reads nothing of a pipeline but its network, device and solver; the other parts are the embedded model's.
    const measured = await measure(new Pipeline(embedded.folder, embedded.device, network, embedded.text), { name: "SD-1.5 shape", rows: 2, latentSize: 64, tokens: 77, rounds: 2 });
    await network.dispose();
    return measured;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { sd15: { type: "boolean", default: false } } });
  const embedded = await loadPipeline(join("models", "fluent-ldm"));
  const results = await measure(embedded, { name: "embedded", rows: 16, latentSize: 16, tokens: 32, rounds: 7 });
  if (values.sd15) results.push(...(await measureSd15(embedded)));
  const lines = [
    "# bench/realised", "",
    `Realised speed-up ÷ ideal, medians over rounds (least–most); every second of ${EVALUATIONS} evaluations reuses. ${cpus()[0].model}, ${cpus().length} cores.`, "",
    "| network | rows | arm | ideal | realised | realised ÷ ideal | goal | met |", "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...results.map(({ network, rows, arm, ideal, realised, share }) => `| ${network} | ${rows} | ${arm} | ${median(ideal).toFixed(2)} | ${median(realised).toFixed(2)} | ${median(share).toFixed(3)} (${Math.min(...share).toFixed(3)}–${Math.max(...share).toFixed(3)}) | ≥ ${GOALS[network]} | ${median(share) >= GOALS[network] ? "yes" : "**no**"} |`), "",
  ];
  await writeResult("realised.md", lines.join("\n"));
  await writeResult("realised.json", `${JSON.stringify(results)}\n`);
  console.log(lines.join("\n"));
}

await main();
