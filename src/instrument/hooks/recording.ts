/** Records block outputs during sampling, to memory within a budget or to safetensors on disk. */
import { ArgumentError } from "../../errors.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { planSampling } from "../../diffusion/samplingPlan.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import { createSafetensorsWriter } from "../../files/safetensors.js";
import type { TensorLayout } from "../../files/safetensors.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { elementCount } from "../../numerics/tensor.js";
import { selectBlocks } from "./blockSelection.js";
import { hook } from "./hooks.js";

export interface RecordOptions {
  /** block paths or patterns */
  readonly blocks: readonly string[];
  /** network evaluations to record. Default: all */
  readonly steps?: readonly number[];
  /** C before the residual, or the block's output. Default: branch */
  readonly value?: "branch" | "out";
}

export interface MemoryRecordOptions extends RecordOptions {
  /** bytes that the recording may take. Default: 1 GiB */
  readonly budget?: number;
}

/** Tensors [rows, …] by block and network evaluation. */
export interface Recording {
  readonly hooks: readonly SamplingHook[];
  /** @throws ArgumentError where that block was not recorded at that evaluation */
  get(id: string, step: number): FloatTensor;
  /** bytes held */
  readonly bytes: number;
}

const DEFAULT_BUDGET = 2 ** 30;

/**
 * Records to memory; pass `hooks` to the sampler.
 *
 * @throws ArgumentError during sampling, before the budget would be exceeded
 */
export function recordToMemory(options: MemoryRecordOptions): Recording {
  const { budget = DEFAULT_BUDGET, value = "branch" } = options;
  const recorded = new Map<string, FloatTensor>();
  let bytes = 0;
  const hooks = options.blocks.map((pattern) =>
    hook(
      pattern,
      (event) => {
        const { dims, data } = event[value];
        const name = tensorName(event.id, event.step);
        // Two patterns may name the same block, and a later sampling replaces an earlier one.
        const after = bytes - (recorded.get(name)?.data.byteLength ?? 0) + data.byteLength;
        if (after > budget) {
          throw new ArgumentError(
            `recording: expected at most ${budget} bytes, and ${event.id} at step ${event.step} would make it ${after} — record fewer blocks or steps, raise the budget, or record to disk`,
          );
        }
        bytes = after;
        recorded.set(name, { dims, data });
      },
      { steps: options.steps, results: [value] },
    ),
  );
  return {
    hooks,
    get(id, step) {
      const tensor = recorded.get(tensorName(id, step));
      if (tensor !== undefined) return tensor;
      throw new ArgumentError(
        `recording: expected a block and step that were recorded, found ${id} at step ${step} — name it in blocks and steps, and sample with the recording's hooks`,
      );
    },
    get bytes() {
      return bytes;
    },
  };
}

/** A recording that goes to a file as it is made. */
export interface DiskRecording {
  readonly hooks: readonly SamplingHook[];
  /** bytes that the file will have; known beforehand */
  readonly bytes: number;
  /** gives the file its name, once everything is recorded */
  close(): Promise<void>;
  /** removes what was written */
  abandon(): Promise<void>;
}

/**
 * Records to a safetensors file, `<block id>/<step>` each; memory does not grow with the number of steps.
 *
 * @param sampling the options that the sampler will be given: they fix the shapes
 * @throws ArgumentError for steps that the sampling does not have, and patterns that name no block
 */
export async function recordToDisk(
  pipeline: Pipeline,
  path: string,
  sampling: SampleOptions,
  options: RecordOptions,
): Promise<DiskRecording> {
  const { value = "branch" } = options;
  const plan = planSampling(pipeline, sampling);
  const [height, width] = plan.latentSize;
  const rows = plan.prompts.length * plan.rowsPerImage;
  const evaluations = plan.solver.timesteps.map((_, step) => step);
  const steps = options.steps ?? evaluations;
  const outside = steps.find((step) => !evaluations.includes(step));
  if (outside !== undefined)
    throw new ArgumentError(`recording: steps: expected 0 to ${evaluations.length - 1}, found ${outside}`);

  const layout = new Map<string, TensorLayout>();
  for (const { block, inside } of options.blocks.flatMap((pattern) => selectBlocks(pipeline.network.unet, pattern))) {
    const extent = block.extent({ height, width });
    const shape =
      inside === undefined
        ? [block.channels, extent.height, extent.width]
        : [extent.height * extent.width, block.channels];
    for (const step of steps) layout.set(tensorName(block.id, step), { dtype: "F32", dims: [rows, ...shape] });
  }
  const writer = await createSafetensorsWriter(path, layout, {
    format: "blockcache-recording",
    model: await pipeline.fingerprint(),
    value,
    timesteps: JSON.stringify(plan.solver.timesteps),
    prompts: JSON.stringify(plan.prompts),
  });
  return {
    hooks: options.blocks.map((pattern) =>
      hook(pattern, (event) => writer.write(tensorName(event.id, event.step), event[value].data), {
        steps,
        results: [value],
      }),
    ),
    bytes: [...layout.values()].reduce((sum, { dims }) => sum + 4 * elementCount(dims), 0),
    close: () => writer.close(),
    abandon: () => writer.abandon(),
  };
}

function tensorName(id: string, step: number): string {
  return `${id}/${step}`;
}
