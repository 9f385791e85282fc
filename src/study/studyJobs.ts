/** What a study is cut into: plain data in, plain data out, the same here and on a worker. */
import { cpus } from "node:os";
import { z } from "zod";
import { cachedRun } from "../caching/run/cachedRun.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { psnr, relativeDistances } from "../quality/distance.js";
import { ssim } from "../quality/ssim.js";
import type { Arm, Distances } from "./result.js";
import { decodeBatch, sampleBatch, warmUp } from "./sampleBatch.js";
import type { SampledBatch } from "./sampleBatch.js";
import type { StudySetting } from "./setting.js";

/** The near-converged solution of one batch. */
export interface ConvergedJob {
  readonly kind: "converged";
  readonly setting: StudySetting;
  readonly trajectories: readonly Trajectory[];
}

/** One arm on one batch, with the plain run beside it. */
export interface ArmJob {
  readonly kind: "arm";
  readonly setting: StudySetting;
  readonly trajectories: readonly Trajectory[];
  readonly arm: Arm;
  /** latents of the converged solution */
  readonly converged: FloatTensor;
}

/** [trajectories, channels, height, width] */
export const latentsSchema: z.ZodType<FloatTensor> = z
  .object({ dims: z.array(z.number().int().positive()).length(4), data: z.instanceof(Float32Array) })
  .refine(({ dims, data }) => data.length === elementCount(dims), "as many values as dims say");

/** What an arm gave on one batch. */
export interface ArmMeasurement {
  readonly toConverged: Distances;
  readonly toPlain?: Distances;
  /** one a repeat */
  readonly seconds: readonly number[];
  /** of the plain run taken in turn with each */
  readonly plainSeconds: readonly number[];
  readonly machine: string;
}

const seconds = z.array(z.number().positive()).min(1);
const distancesSchema = z.object({
  latent: z.array(z.number()),
  psnr: z.array(z.union([z.number(), z.literal(Infinity)])),
  ssim: z.array(z.number()),
});
export const armMeasurementSchema: z.ZodType<ArmMeasurement> = z.object({
  toConverged: distancesSchema,
  toPlain: distancesSchema.optional(),
  seconds,
  plainSeconds: seconds,
  machine: z.string(),
});

/** Samples the reference's latents. */
export async function runConverged(
  pipeline: Pipeline,
  { setting, trajectories }: ConvergedJob,
  signal?: AbortSignal,
): Promise<FloatTensor> {
  return (
    await sampleBatch(
      pipeline,
      setting,
      trajectories,
      { solver: setting.solver, steps: setting.converged_steps },
      { signal },
    )
  ).latents;
}

/**
 * Samples an arm and, in turn with it, the study's plain run, so that the ratio of their times is of one
 * machine and one time; then compares latents and pictures.
 */
export async function runArm(
  pipeline: Pipeline,
  { setting, trajectories, arm, converged }: ArmJob,
  signal?: AbortSignal,
): Promise<ArmMeasurement> {
  await warmUp(pipeline, setting, trajectories.length, signal);
  const cached = arm.cached && cachedRun(arm.cached.schedule, { reuse: reuseRule(arm.cached.reuse) });
  const plain: SampledBatch[] = [];
  const own: SampledBatch[] = isPlainRun(arm, setting) ? plain : [];
  const turns = [
    async () => plain.push(await sampleBatch(pipeline, setting, trajectories, setting, { signal })),
    async () =>
      own === plain ||
      own.push(await sampleBatch(pipeline, setting, trajectories, arm, { hooks: cached ? [cached] : [], signal })),
  ];
  for (let repeat = 0; repeat < setting.repeats; repeat++) {
    for (const take of turns) await take();
    // The other one goes first next time.
    turns.reverse();
  }
  return {
    toConverged: await distances(pipeline, own[0].latents, converged),
    ...(arm.cached === undefined || arm.steps !== setting.steps
      ? {}
      : { toPlain: await distances(pipeline, own[0].latents, plain[0].latents) }),
    seconds: own.map(({ seconds }) => seconds),
    plainSeconds: plain.map(({ seconds }) => seconds),
    machine: machine(pipeline),
  };
}

/** Whether an arm is the plain run that all others are timed beside. */
export function isPlainRun(arm: Arm, { solver, steps }: Pick<StudySetting, "solver" | "steps">): boolean {
  return arm.cached === undefined && arm.solver === solver && arm.steps === steps;
}

async function distances(pipeline: Pipeline, latents: FloatTensor, reference: FloatTensor): Promise<Distances> {
  const [images, references] = [await decodeBatch(pipeline, latents), await decodeBatch(pipeline, reference)];
  return {
    latent: relativeDistances(latents, reference),
    psnr: images.map((image, index) => psnr(image, references[index])),
    ssim: images.map((image, index) => ssim(image, references[index])),
  };
}

/** What a job ran on, for people. */
export function machine({ device }: Pipeline): string {
  const processors = cpus();
  return [
    device.name,
    device.precision,
    `${processors[0].model.trim()}, ${processors.length} cores`,
    ...(device.threads === undefined ? [] : [`${device.threads} threads`]),
  ].join(", ");
}
