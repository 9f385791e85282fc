/**
 * Our networks on one device against `cpu`, on tiny folders, in a process of its own; prints one line of JSON per
 * folder.
 *
 * usage: gpuParity.js DEVICE PRECISION FOLDER…
 */
import { basename, join } from "node:path";
import { cachedRun } from "../src/caching/run/cachedRun.js";
import { CACHEABLE_KINDS } from "../src/caching/heuristics/heuristic.js";
import { regularSchedule } from "../src/caching/schedule/regularSchedule.js";
import { linear } from "../src/caching/run/reuseRule.js";
import { loadPipeline } from "../src/diffusion/pipeline.js";
import type { Pipeline } from "../src/diffusion/pipeline.js";
import { generate } from "../src/diffusion/sample.js";
import type { Precision } from "../src/graphs/graphBuilder.js";
import { changeMeter } from "../src/instrument/change/change.js";
import type { BlockKind } from "../src/graphs/block.js";
import { hook } from "../src/instrument/hooks/hooks.js";
import { openSafetensors } from "../src/files/safetensors.js";
import type { SafetensorsFile } from "../src/files/safetensors.js";
import type { FloatTensor } from "../src/numerics/tensor.js";
import type { DeviceName } from "../src/engine/devices.js";
import { beginAll } from "../src/diffusion/samplingHook.js";
import type { UNetInputs } from "../src/engine/network/unetInputs.js";
import { TIMESTEP } from "./inputs.js";

const STEPS = 7;

/** max |difference| ÷ max |value on cpu|; null where a value is missing or not a number */
export type RelativeError = number | null;

export interface FolderParity {
  readonly folder: string;
  readonly network: RelativeError;
  /** blocks whose C was compared, including those inside transformers */
  readonly blocks: number;
  readonly worstBlock: { readonly id: string; readonly error: RelativeError };
  /** final latents of DDIM, guidance 5 */
  readonly latents: RelativeError;
  /** change of every block at every evaluation of that sampling, with sums taken on the device */
  readonly change: RelativeError;
  /** final latents where every second evaluation reuses all kinds of block, extrapolated linearly */
  readonly cachedLatents: RelativeError;
  /** final latents where every second evaluation is skipped: the network's output, float32 in any precision, is extrapolated */
  readonly skippedLatents: RelativeError;
}

/** What is compared. */
interface Results {
  readonly network: FloatTensor;
  readonly branches: ReadonlyMap<string, FloatTensor>;
  readonly latents: FloatTensor;
  readonly change: FloatTensor;
  readonly cachedLatents: FloatTensor;
  readonly skippedLatents: FloatTensor;
}

/**
 * Network output, every C, change, plain, cached and skipped final latents, for the inputs that test/fixtures/models.py
 * drew.
 */
async function compute(pipeline: Pipeline, reference: SafetensorsFile): Promise<Results> {
  const branches = new Map<string, FloatTensor>();
  const hooks = ["all", "**.attn1", "**.attn2", "**.ff"].map((pattern) =>
    hook(pattern, ({ id, branch }) => void branches.set(id, branch)),
  );
  const inParts = await beginAll(hooks, pipeline);
  const evaluation = { index: 0, timestep: TIMESTEP, images: 2, guided: false };
  const network = await pipeline.network.forward(await givenInputs(reference), {
    observers: hooks,
    inParts,
    evaluation,
  });
  const sampling = { steps: STEPS, solver: "ddim", guidanceScale: 5 } as const;
  const image = { ...sampling, prompt: "a red apple", latents: await reference.readFloat32("latents") };
  const changes: number[] = [];
  const meter = changeMeter(pipeline, (_, __, [{ change }]) => void changes.push(change));
  const { latents } = await generate(pipeline, { ...image, hooks: [meter] });
  meter.dispose();
  const reusing = async (kinds: readonly BlockKind[]): Promise<FloatTensor> => {
    const schedule = await regularSchedule(pipeline, { ...sampling, kinds, interval: 2 });
    return (await generate(pipeline, { ...image, hooks: [cachedRun(schedule, { reuse: linear })] })).latents;
  };
  const [cachedLatents, skippedLatents] = [await reusing(CACHEABLE_KINDS), await reusing(["conv_out"])];
  return {
    network,
    branches,
    latents,
    change: { dims: [changes.length], data: Float32Array.from(changes) },
    cachedLatents,
    skippedLatents,
  };
}

async function givenInputs(reference: SafetensorsFile): Promise<UNetInputs> {
  const given = async (tensor: string): Promise<FloatTensor | undefined> =>
    reference.tensors.has(tensor) ? reference.readFloat32(tensor) : undefined;
  const [textEmbeds, timeIds] = [await given("text_embeds"), await given("time_ids")];
  return {
    sample: await reference.readFloat32("sample"),
    timestep: TIMESTEP,
    encoderHiddenStates: await reference.readFloat32("prompt_embeds"),
    addedConditions: textEmbeds && timeIds && { textEmbeds, timeIds },
    timestepCond: await given("timestep_cond"),
  };
}

async function compare(path: string, device: DeviceName, precision: Precision): Promise<FolderParity> {
  const reference = await openSafetensors(join(path, "reference.safetensors"));
  const pipelines = [await loadPipeline(path), await loadPipeline(path, { device, precision })];
  const [expected, found] = [await compute(pipelines[0], reference), await compute(pipelines[1], reference)];
  for (const pipeline of pipelines) await pipeline.dispose();
  await reference.close();
  const errors = [...expected.branches].map(([id, branch]) => ({
    id,
    error: relativeError(found.branches.get(id), branch),
  }));
  const worstBlock = errors.reduce((worst, block) =>
    (block.error ?? Infinity) <= (worst.error ?? Infinity) ? worst : block,
  );
  const [network, latents, change, cachedLatents, skippedLatents] = (
    ["network", "latents", "change", "cachedLatents", "skippedLatents"] as const
  ).map((part) => relativeError(found[part], expected[part]));
  return {
    folder: basename(path),
    network,
    blocks: errors.length,
    worstBlock,
    latents,
    change,
    cachedLatents,
    skippedLatents,
  };
}

function relativeError(found: FloatTensor | undefined, { data: expected }: FloatTensor): RelativeError {
  if (found?.data.length !== expected.length || found.data.some(Number.isNaN)) return null;
  const size = expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return expected.reduce((largest, value, index) => Math.max(largest, Math.abs(value - found.data[index])), 0) / size;
}

try {
  const [device, precision, ...folders] = process.argv.slice(2);
  for (const folder of folders)
    process.stdout.write(`${JSON.stringify(await compare(folder, device as DeviceName, precision as Precision))}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// Drivers' threads may keep the process alive, or crash it during an orderly exit.
process.exit();
