/** What a study is cut into: plain data in, plain data out, the same here and on a worker. */
import { cpus } from "node:os";
import { z } from "zod";
import { reuseDigest } from "../caching/run/reuseDigest.js";
import { reuseRule } from "../caching/run/reuseRule.js";
import { evaluationTimes } from "../diffusion/evaluationTimes.js";
import { planEvaluations } from "../diffusion/plannedEvaluations.js";
import { ArgumentError, NotFiniteError } from "../errors.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import { elementCount } from "../numerics/tensor.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { psnr, relativeDistances } from "../quality/distance.js";
import { ssim } from "../quality/ssim.js";
import { openCachedRun } from "./armAdjustment.js";
import type { Arm, Distances } from "./result.js";
import { decodeBatch, sampleBatch, warmUp } from "./sampleBatch.js";
import type { SampledBatch } from "./sampleBatch.js";
import { armSampling } from "./setting.js";
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

/** Why an arm gave no measurement on one batch. */
export interface ArmFailure {
  readonly failed: string;
  readonly machine: string;
}

export function isFailure(found: ArmMeasurement | ArmFailure): found is ArmFailure {
  return "failed" in found;
}

export function isMeasurement(found: ArmMeasurement | ArmFailure): found is ArmMeasurement {
  return !isFailure(found);
}

const seconds = z.array(z.number().positive()).min(1);
const distancesSchema = z.object({
  latent: z.array(z.number()),
  psnr: z.array(z.union([z.number(), z.literal(Infinity)])),
  ssim: z.array(z.number()),
});
export const armMeasurementSchema: z.ZodType<ArmMeasurement | ArmFailure> = z.union([
  z.object({
    toConverged: distancesSchema,
    toPlain: distancesSchema.optional(),
    seconds,
    plainSeconds: seconds,
    machine: z.string(),
  }),
  z.object({ failed: z.string(), machine: z.string() }),
]);

/** Samples the reference's latents. Throws NotFiniteError, which names it, where they are none. */
export async function runConverged(
  pipeline: Pipeline,
  { setting, trajectories }: ConvergedJob,
  signal?: AbortSignal,
): Promise<FloatTensor> {
  const arm = { solver: setting.solver, steps: setting.converged_steps };
  const sampled = sampleBatch(pipeline, setting, trajectories, arm, { signal });
  return (await named(`the reference of ${setting.converged_steps} steps`, sampled)).latents;
}

/**
 * Samples an arm and, in turn with it, the study's plain run, so that the ratio of their times is of one
 * machine and one time; then compares latents and pictures. An arm that gives no finite numbers, or whose reuse rule
 * fails, is no reason for the others to fail.
 *
 * @throws ArgumentError where the reuse rule of the arm's name is another one in this process; InvalidFileError where its
 *   adjustment is
 */
export async function runArm(
  pipeline: Pipeline,
  { setting, trajectories, arm, converged }: ArmJob,
  signal?: AbortSignal,
): Promise<ArmMeasurement | ArmFailure> {
  await warmUp(pipeline, setting, trajectories.length, signal);
  requireSameRule(pipeline, setting, arm);
  const cached = arm.cached && (await openCachedRun(arm.cached));
  const plain: SampledBatch[] = [];
  const own: SampledBatch[] = isPlainRun(arm, setting) ? plain : [];
  const ofPlainRun = `the plain run of ${setting.steps} steps`;
  const turns = [
    async () => plain.push(await named(ofPlainRun, sampleBatch(pipeline, setting, trajectories, setting, { signal }))),
    async () => {
      if (own === plain) return;
      const hooks = cached === undefined ? [] : [cached];
      own.push(await failingAlone(sampleBatch(pipeline, setting, trajectories, arm, { hooks, signal })));
    },
  ];
  const compared = (reference: FloatTensor): Promise<Distances> => {
    const found = distances(pipeline, own[0].latents, reference);
    return own === plain ? named(ofPlainRun, found) : failingAlone(found);
  };
  try {
    for (let repeat = 0; repeat < setting.repeats; repeat++) {
      for (const take of turns) await take();
      // The other one goes first next time.
      turns.reverse();
    }
    return {
      toConverged: await compared(converged),
      ...(arm.cached === undefined || arm.steps !== setting.steps ? {} : { toPlain: await compared(plain[0].latents) }),
      seconds: own.map(({ seconds }) => seconds),
      plainSeconds: plain.map(({ seconds }) => seconds),
      machine: machine(pipeline),
    };
  } catch (error) {
    if (error instanceof ArmError) return { failed: error.message, machine: machine(pipeline) };
    throw error;
  }
}

/** What all arms are measured by: without it there is no study. */
async function named<Result>(what: string, work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof NotFiniteError) throw new NotFiniteError(`${what}: ${error.message}`);
    throw error;
  }
}

/** What went wrong is the arm's own. */
class ArmError extends Error {}

async function failingAlone<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof NotFiniteError || error instanceof ArgumentError) throw new ArmError(error.message);
    throw error;
  }
}

/** The rule of an arm's name must give the weights that the study's own process was given. */
function requireSameRule(pipeline: Pipeline, setting: StudySetting, { name, solver, steps, cached }: Arm): void {
  if (cached === undefined) return;
  const rule = reuseRule(cached.reuse);
  const plan = planEvaluations(pipeline, armSampling(pipeline, setting, { solver, steps }));
  if (reuseDigest(cached.schedule, rule, evaluationTimes(plan.solver)) === cached.reuseDigest) return;
  throw new ArgumentError(
    `arms: "${name}": expected the study's own reuse rule ${rule.name}, found one that gives other weights in this process — start the worker anew with the study's module`,
  );
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
