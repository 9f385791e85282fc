/** Measures change over many prompts and seeds: in batches, interruptible, resuming to the same values. */
import { existsSync } from "node:fs";
import { ArgumentError, NotFiniteError } from "../../errors.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { negativePromptOf, planEvaluations } from "../../diffusion/plannedEvaluations.js";
import { samplingRecord } from "../../diffusion/samplingRecord.js";
import { sample } from "../../diffusion/sample.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import { whileKeptIn } from "../../files/whileLocked.js";
import { createJob, runLocally } from "../../jobs/job.js";
import type { JobRunner } from "../../jobs/job.js";
import { VERSION } from "../../version.js";
import { blockMap } from "../blockMap.js";
import { changeMeter } from "../change/change.js";
import type { ChangeListener } from "../change/change.js";
import { loadProfile, mergeProfiles, saveProfile } from "./profileFile.js";
import { batches, distinctTrajectories, selectTrajectories } from "./trajectories.js";
import { MEASURES } from "./profile.js";
import type { Measure, Profile, ProfiledBlock, ProfileSetting, Trajectory } from "./profile.js";

/** How every trajectory of a profile is sampled and measured. */
export interface ProfileSampling extends Pick<
  SampleOptions,
  "steps" | "solver" | "schedulerConfig" | "guidanceScale" | "height" | "width"
> {
  readonly negativePrompt?: string;
  /**
   * Also measure change between all pairs of steps up to this many apart, in the same samplings. As many branches of
   * every block are kept (`changeMemoryBytes` counts them). Default: none
   */
  readonly pairWindow?: number;
}

export interface ProfileOptions extends ProfileSampling {
  readonly prompts: readonly string[];
  /** each prompt is sampled from each seed's noise */
  readonly seeds: readonly number[];
  /** trajectories sampled together. Default: 4 */
  readonly batch?: number;
  /** Written after each batch; what it already holds of this setting is not sampled again. */
  readonly file?: string;
  /** network evaluations done, and to be done in all; resumed ones count as done */
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
 * The change of every layer block's C over prompts × seeds, each trajectory once (paper, section 3.1 and Figure 2b).
 *
 * @throws ArgumentError where `file` cannot be written or holds a profile of another setting; InUseError where another process is writing it;
 * NotFiniteError where the network gives NaN; InterruptedError on abort, after which the same call continues after the
 * last complete batch
 */
export async function profileChange(pipeline: Pipeline, options: ProfileOptions): Promise<Profile> {
  const { prompts, seeds, batch = 4, pairWindow, file } = options;
  if (prompts.length === 0) throw new ArgumentError("prompts: expected at least one, found an empty list");
  if (seeds.length === 0) throw new ArgumentError("seeds: expected at least one, found an empty list");
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`batch: expected an integer of 1 or more, found ${batch}`);

  if (pairWindow !== undefined && (!Number.isInteger(pairWindow) || pairWindow < 1))
    throw new ArgumentError(`pairWindow: expected an integer of 1 or more, found ${pairWindow}`);

  const trajectories = distinctTrajectories(pipeline, prompts, seeds);
  const measure = (): Promise<Profile> => measureAll(pipeline, trajectories, options);
  return whileKeptIn(file, measure);
}

async function measureAll(
  pipeline: Pipeline,
  trajectories: readonly Trajectory[],
  options: ProfileOptions,
): Promise<Profile> {
  const { prompts: _, seeds: __, batch = 4, file, onProgress, signal, runner = runLocally, ...sampling } = options;
  let profile = await emptyProfile(pipeline, sampling);
  if (file !== undefined && existsSync(file))
    profile = resume(file, await loadProfile(file), profile, runner === runLocally);
  const evaluations = profile.setting.timesteps.length;
  const total = trajectories.length * evaluations;
  const isDone = ({ prompt, seed }: Trajectory): boolean =>
    profile.trajectories.some((done) => done.prompt === prompt && done.seed === seed);
  const countDone = (): number => trajectories.filter(isDone).length * evaluations;
  onProgress?.(countDone(), total);

  // Batches are cut from the whole list, so that a resumed run has the same ones, and the same rounding.
  const jobs = batches(trajectories, batch)
    .filter((members) => !members.every(isDone))
    .map((members) =>
      createJob<ProfileJob>({
        kind: "profile",
        fingerprint: profile.setting.model.fingerprint,
        sampling,
        trajectories: members,
      }),
    );
  await runner<ProfileJob, Profile>({
    jobs,
    signal,
    run: (job) =>
      measureBatch(pipeline, job, {
        signal,
        onStep: (step) => onProgress?.(countDone() + (step + 1) * job.trajectories.length, total),
      }),
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

/** Bytes of the branches that measuring change keeps, counted beforehand. */
export function changeMemoryBytes(
  pipeline: Pipeline,
  { batch = 4, ...sampling }: Pick<ProfileOptions, keyof ProfileSampling | "batch">,
): number {
  const { latentSize, rowsPerImage } = planEvaluations(pipeline, sampling);
  const layerBlocks = blockMap(pipeline, latentSize).filter(({ inside }) => inside === undefined);
  return layerBlocks.reduce((sum, { bytes }) => sum + bytes, 0) * rowsPerImage * batch * (sampling.pairWindow ?? 1);
}

async function emptyProfile(pipeline: Pipeline, options: ProfileSampling): Promise<Profile> {
  const evaluations = planEvaluations(pipeline, options);
  const { latentSize } = evaluations;
  const [height, width] = latentSize;
  const setting: ProfileSetting = {
    ...(await samplingRecord(pipeline, evaluations)),
    negative_prompt: negativePromptOf(pipeline, options.negativePrompt),
    latent_size: latentSize,
  };
  const blocks = pipeline.network.blocks.map((block) => {
    const extent = block.extent({ height, width });
    return { id: block.id, kind: block.kind, resolution: [extent.height, extent.width] as const };
  });
  const values = Object.fromEntries(
    MEASURES.map((name) => [name, Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(0)]))]),
  );
  return {
    setting,
    device: pipeline.device.name,
    precision: pipeline.device.precision,
    library_version: VERSION,
    trajectories: [],
    blocks,
    values,
    ...pairsOf(blocks, 0, options.pairWindow),
  };
}

/** Room for change between pairs of steps, where it is asked for. */
function pairsOf(blocks: readonly ProfiledBlock[], rows: number, window: number | undefined): Pick<Profile, "pairs"> {
  if (window === undefined) return {};
  return {
    pairs: { window, change: Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(rows * window)])) },
  };
}

function resume(file: string, found: Profile, wanted: Profile, here: boolean): Profile {
  // With another runner, the workers decide the precision.
  if (here && found.precision !== wanted.precision)
    throw new ArgumentError(
      `${file}: holds a profile that was measured in ${found.precision}, and this is ${wanted.precision} — give another file, or precision: "${found.precision}"`,
    );
  try {
    return mergeProfiles([wanted, found]);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    throw new ArgumentError(
      `${file}: holds a profile that cannot be continued (${error.message}) — give another file, or delete this one`,
    );
  }
}

/** Samples one batch of trajectories and measures their change. */
export async function measureBatch(
  pipeline: Pipeline,
  { sampling, trajectories }: ProfileJob,
  { signal, onStep }: { signal?: AbortSignal; onStep?: (step: number) => void } = {},
): Promise<Profile> {
  const { setting, blocks, ...rest } = await emptyProfile(pipeline, sampling);
  const steps = setting.timesteps.length;
  const values = Object.fromEntries(
    MEASURES.map((name) => [
      name,
      Object.fromEntries(blocks.map(({ id }) => [id, new Float64Array(trajectories.length * steps)])),
    ]),
  ) as Record<Measure, Record<string, Float64Array>>;
  const { pairs } = pairsOf(blocks, trajectories.length * steps, sampling.pairWindow);
  const listener: ChangeListener = (id, step, images, apart) => {
    if (images.some(({ change, cosine }) => Number.isNaN(change + cosine)))
      throw new NotFiniteError(
        `profile: ${id} gave values at evaluation ${step} that are not finite${pipeline.device.precision === "float16" ? ' — measure with precision: "float32"' : ""}`,
      );
    images.forEach((change, image) => {
      const entry = image * steps + step;
      for (const name of MEASURES) values[name][id][entry] = change[name];
      pairs?.change[id].set(apart[image], entry * pairs.window);
    });
  };
  const meter = changeMeter(pipeline, listener, { pairWindow: sampling.pairWindow });
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
  return { ...rest, setting, blocks, trajectories, values, ...(pairs === undefined ? {} : { pairs }) };
}

/** The profile's trajectories in the order asked for, those of other runs in the same file last. */
function inOrder(profile: Profile, order: readonly Trajectory[]): Profile {
  const position = new Map(order.map(({ prompt, seed }, index) => [JSON.stringify([prompt, seed]), index]));
  const rank = ({ prompt, seed }: Trajectory): number => position.get(JSON.stringify([prompt, seed])) ?? order.length;
  const rows = profile.trajectories
    .map((_, row) => row)
    .sort((a, b) => rank(profile.trajectories[a]) - rank(profile.trajectories[b]) || a - b);
  return selectTrajectories(profile, rows);
}
