/** Measures change over many prompts and seeds: in batches, interruptible, resuming to the same values. */
import { existsSync } from "node:fs";
import { ArgumentError } from "../errors.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import { sample } from "../diffusion/sample.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import { createJob, runLocally } from "../jobs/job.js";
import type { JobRunner } from "../jobs/job.js";
import { VERSION } from "../version.js";
import { changeMeter } from "./change.js";
import type { ChangeValues } from "./change.js";
import { loadProfile, mergeProfiles, saveProfile } from "./profileFile.js";
import { MEASURES, batches } from "./profile.js";
import type { Measure, Profile, ProfileSetting, Trajectory } from "./profile.js";

/** How every trajectory of a profile is sampled. */
export interface ProfileSampling extends Pick<SampleOptions, "steps" | "solver" | "schedulerConfig" | "guidanceScale" | "height" | "width"> {
  readonly negativePrompt?: string;
}

export interface ProfileOptions extends ProfileSampling {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise */
  readonly seeds: readonly number[];
  /** trajectories sampled together. Default: 4 */
  readonly batch?: number;
  /** Written after each batch; what it already holds of this setting is not sampled again. */
  readonly file?: string;
  /** network evaluations done and to do in all, those resumed counted as done */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** where the batches are sampled. Default: this process */
  readonly runner?: JobRunner;
}

/** One batch of a profile, as a job that any process with the model can do. */
export interface ProfileJob {
  readonly kind: "profile";
  readonly fingerprint: string;
  readonly sampling: ProfileSampling;
  readonly trajectories: readonly Trajectory[];
}

/**
 * The change of every layer block's C along prompts × seeds (paper, section 3.1 and Figure 2b).
 *
 * @throws ArgumentError where `file` holds a profile of another setting; InterruptedError on abort,
 *   after which the same call goes on from the last whole batch
 */
export async function profileChange(pipeline: Pipeline, options: ProfileOptions): Promise<Profile> {
  const { prompts, seeds, batch = 4, file, onProgress, signal, runner = runLocally, ...sampling } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  if (!Number.isInteger(batch) || batch < 1) throw new ArgumentError(`batch: expected an integer of 1 or more, found ${batch}`);

  const trajectories = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  let profile = await emptyProfile(pipeline, sampling);
  if (file !== undefined && existsSync(file)) profile = resume(file, await loadProfile(file), profile);
  const evaluations = profile.setting.timesteps.length;
  const total = trajectories.length * evaluations;
  const isDone = ({ prompt, seed }: Trajectory): boolean => profile.trajectories.some((done) => done.prompt === prompt && done.seed === seed);
  const countDone = (): number => trajectories.filter(isDone).length * evaluations;
  onProgress?.(countDone(), total);

  // Batches are cut from the whole list, so that a resumed run has the same ones and rounds alike.
  const jobs = batches(trajectories, batch)
    .filter((members) => !members.every(isDone))
    .map((members) => createJob<ProfileJob>({ kind: "profile", fingerprint: profile.setting.model.fingerprint, sampling, trajectories: members }));
  await runner<ProfileJob, Profile>({
    jobs,
    signal,
    run: (job) => measureBatch(pipeline, job, { signal, onStep: (step) => onProgress?.(countDone() + (step + 1) * job.trajectories.length, total) }),
    async onResult(_, measured) {
      profile = mergeProfiles([profile, measured]);
      if (file !== undefined) await saveProfile(file, profile);
      onProgress?.(countDone(), total);
    },
  });
  const ordered = inOrder(profile, trajectories);
  if (file !== undefined) await saveProfile(file, ordered);
  return ordered;
}

async function emptyProfile(pipeline: Pipeline, options: ProfileSampling): Promise<Profile> {
  const { solver, guidanceScale, latentSize, negativePrompts } = planSampling(pipeline, { ...options, prompt: "" });
  const [height, width] = latentSize;
  const setting: ProfileSetting = {
    model: { fingerprint: await pipeline.fingerprint(), name: pipeline.name },
    solver: solver.name,
    solver_config: solver.config,
    num_inference_steps: solver.numInferenceSteps,
    timesteps: solver.timesteps,
    guidance_scale: guidanceScale,
    negative_prompt: negativePrompts?.[0] ?? null,
    latent_size: latentSize,
  };
  const blocks = pipeline.network.blocks.map((block) => {
    const extent = block.extent({ height, width });
    return { id: block.id, kind: block.kind, resolution: [extent.height, extent.width] as const };
  });
  const values = Object.fromEntries(MEASURES.map((name) => [name, Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(0)]))]));
  return { setting, device: pipeline.device.name, library_version: VERSION, trajectories: [], blocks, values };
}

function resume(file: string, found: Profile, wanted: Profile): Profile {
  try {
    return mergeProfiles([wanted, found]);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    throw new ArgumentError(`${file}: holds a profile that cannot go on (${error.message}) — give another file, or delete this one`);
  }
}

/** Samples one batch of trajectories and measures their change. */
export async function measureBatch(pipeline: Pipeline, { sampling, trajectories }: ProfileJob, { signal, onStep }: { signal?: AbortSignal; onStep?: (step: number) => void } = {}): Promise<Profile> {
  const { setting, blocks, ...rest } = await emptyProfile(pipeline, sampling);
  const steps = setting.timesteps.length;
  const values = Object.fromEntries(
    MEASURES.map((name) => [name, Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(trajectories.length * steps)]))]),
  ) as Record<Measure, Record<string, Float64Array>>;
  const meter = changeMeter(pipeline, (id: string, step: number, images: readonly ChangeValues[]) => {
    images.forEach((change, image) => {
      for (const name of MEASURES) values[name][id][image * steps + step] = change[name];
    });
  });
  try {
    const run = sample(pipeline, {
      ...sampling,
      prompt: trajectories.map(({ prompt }) => prompt),
      seed: trajectories.map(({ seed }) => seed),
      hooks: [meter],
      signal,
    });
    for await (const { index } of run) onStep?.(index);
  } finally {
    meter.dispose();
  }
  return { ...rest, setting, blocks, trajectories, values };
}

/** The profile's trajectories in the order asked for, those of other runs in the same file last. */
function inOrder(profile: Profile, order: readonly Trajectory[]): Profile {
  const position = new Map(order.map(({ prompt, seed }, index) => [JSON.stringify([prompt, seed]), index]));
  const rank = ({ prompt, seed }: Trajectory): number => position.get(JSON.stringify([prompt, seed])) ?? order.length;
  const rows = profile.trajectories.map((_, row) => row).sort((a, b) => rank(profile.trajectories[a]) - rank(profile.trajectories[b]) || a - b);
  const steps = profile.setting.timesteps.length;
  const reorder = (data: Float64Array): Float64Array => {
    const sorted = new Float64Array(data.length);
    rows.forEach((row, index) => sorted.set(data.subarray(row * steps, (row + 1) * steps), index * steps));
    return sorted;
  };
  const values = Object.fromEntries(
    Object.entries(profile.values).map(([name, byBlock]) => [name, Object.fromEntries(Object.entries(byBlock).map(([id, data]) => [id, reorder(data)]))]),
  );
  return { ...profile, trajectories: rows.map((row) => profile.trajectories[row]), values };
}
