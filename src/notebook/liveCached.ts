/** Watching a cached run beside the plain one: pictures form side by side while the schedule lights up. */
import { cachedRun } from "../caching/run/cachedRun.js";
import { measureCosts } from "../caching/costs/costs.js";
import { predictSpeedup } from "../caching/costs/predictSeconds.js";
import type { Costs } from "../caching/costs/costs.js";
import { threshold } from "../caching/heuristics/threshold.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import { toDataUri } from "../diffusion/image.js";
import type { RgbImage } from "../diffusion/image.js";
import { latentPreview } from "../diffusion/latentPreview.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { decodeImages } from "../diffusion/decodeImages.js";
import { sample } from "../diffusion/sample.js";
import { planSampling } from "../diffusion/samplingPlan.js";
import type { SampleOptions } from "../diffusion/samplingPlan.js";
import type { SamplingStep } from "../diffusion/sample.js";
import { ArgumentError, InterruptedError } from "../errors.js";
import { decibel } from "../figures/charts/pictureUri.js";
import type { BlockKind } from "../graphs/block.js";
import { PAPER_PRESET } from "../instrument/profile/paperPreset.js";
import { profileChange } from "../instrument/profile/profileChange.js";
import type { Profile } from "../instrument/profile/profile.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { differenceMap } from "../quality/differenceMap.js";
import { psnr } from "../quality/distance.js";
import { bitmapUri } from "../live/bitmap.js";
import { livePicture } from "./livePicture.js";
import { notebookProgress } from "./progress.js";
import { memory } from "../live/remember.js";
import { stopwatch } from "../live/jobs/stopwatch.js";
import { scheduleGrid } from "./scheduleGrid.js";
import { escapeHtml } from "./show/escapeHtml.js";
import { display } from "./show/show.js";

/** Sampling by `schedule`, or by the threshold rule with `delta`. */
export interface LiveCachedOptions extends Omit<SampleOptions, "hooks"> {
  readonly schedule?: Schedule;
  /** δ of the threshold rule, in place of a schedule */
  readonly delta?: number;
  /** of these settings, for `delta`. Default: profiled over a few prompts, once */
  readonly profile?: Profile;
  /** kinds of block that may be cached, for `delta`. Default: transformer */
  readonly kinds?: readonly BlockKind[];
  /** what stands in for C. Default: hold */
  readonly reuse?: ReuseRule;
}

/** One of the two runs. */
export interface LiveRun {
  readonly latents: FloatTensor;
  readonly images: readonly RgbImage[];
  /** spent in the steps themselves: display and decoding left out */
  readonly seconds: number;
}

/** What a live run of two ends with. */
export interface LiveComparison {
  readonly plain: LiveRun;
  readonly cached: LiveRun;
  readonly schedule: Schedule;
  /** plain seconds ÷ cached */
  readonly speedup: number;
  /** the same, as the blocks' costs say */
  readonly predictedSpeedup: number;
  /** dB of each cached image against the plain one */
  readonly psnr: readonly number[];
}

/** What a step is drawn from. */
type DrawnStep = Pick<SamplingStep, "predictedOriginal">;

/** A plain run with its steps, so that it can be shown again beside another cached one. */
interface PlainRun extends LiveRun {
  readonly steps: readonly DrawnStep[];
}

const PROFILED_PROMPTS = 4;
/** Few: a prediction to a few per cent, and both kinds of evaluation are warm afterwards. */
const COST_SAMPLES = 3;
/** How often the difference is multiplied before it is shown. */
const GAIN = 4;

/** Samples plain and cached step by step in turn; profile, costs and plain run stay for the next call. */
export async function compareLive(pipeline: Pipeline, options: LiveCachedOptions): Promise<LiveComparison> {
  const { schedule: _schedule, delta: _delta, profile: _profile, kinds: _kinds, reuse, signal, ...run } = options;
  const schedule = await scheduleFor(pipeline, options);
  const plan = planSampling(pipeline, run);
  const cachedHook = cachedRun(schedule, { reuse });
  // What does not fit is refused before anything is measured.
  await cachedHook.begin?.(pipeline, plan);
  cachedHook.end?.();
  const { prompts, rowsPerImage, latentSize, solver } = plan;
  const rows = prompts.length * rowsPerImage;
  const keptCosts = memory<Costs>(pipeline, ["costs", rows, latentSize]);
  const costs =
    keptCosts.get() ?? keptCosts.set(await measureCosts(pipeline, { rows, latentSize, samples: COST_SAMPLES, signal }));
  const predictedSpeedup = predictSpeedup(costs, schedule, reuse);
  const preview = await latentPreview(pipeline);

  const keptPlain = memory<PlainRun>(pipeline, ["plain", run]);
  const known = keptPlain.get();
  const plainSteps: DrawnStep[] = [...(known?.steps ?? [])];
  let plainLatents = known?.latents;
  const grid = scheduleGrid(schedule);
  const plainClock = stopwatch(sample(pipeline, { ...run, signal }));
  const cachedClock = stopwatch(sample(pipeline, { ...run, signal, hooks: [cachedHook, grid.hook] }));
  const shown = await display({ html: "<div>sampling…</div>" });
  const draw = (pictures: readonly string[], caption: string): Promise<void> =>
    shown.update({
      html: `<div><div style="display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start">${pictures.join("")}${grid.html()}</div><div>${escapeHtml(caption)}</div></div>`,
    });
  let latents: FloatTensor | undefined;
  try {
    for (let index = 0; ; index++) {
      if (known === undefined) {
        const step = await plainClock.next();
        if (step !== undefined) plainSteps.push({ predictedOriginal: step.predictedOriginal });
        plainLatents = step?.latents ?? plainLatents;
      }
      const step = await cachedClock.next();
      if (step === undefined) break;
      latents = step.latents;
      const forming = ({ predictedOriginal }: DrawnStep, label: string): string =>
        livePicture(bitmapUri(preview(predictedOriginal)[0]), label);
      await draw(
        [forming(plainSteps[index], "plain"), forming(step, "cached")],
        `step ${index + 1} of ${solver.timesteps.length}, timestep ${step.timestep}`,
      );
    }
  } catch (error) {
    if (error instanceof InterruptedError) await draw([], "interrupted");
    throw error;
  } finally {
    await plainClock.stop();
    await cachedClock.stop();
  }
  if (latents === undefined || plainLatents === undefined) throw new TypeError("the solver yielded no step");
  const plain =
    known ??
    keptPlain.set({
      steps: plainSteps,
      latents: plainLatents,
      images: await decodeImages(pipeline, plainLatents),
      seconds: plainClock.seconds(),
    });
  const cached = { latents, images: await decodeImages(pipeline, latents), seconds: cachedClock.seconds() };
  const decibels = cached.images.map((image, index) => psnr(image, plain.images[index]));
  const speedup = plain.seconds / cached.seconds;
  const final = async (image: RgbImage, label: string): Promise<string> => livePicture(await toDataUri(image), label);
  await draw(
    [
      await final(plain.images[0], "plain"),
      await final(cached.images[0], "cached"),
      await final(differenceMap(cached.images[0], plain.images[0], GAIN), `|difference| × ${GAIN}`),
    ],
    `plain ${plain.seconds.toFixed(2)} s${known === undefined ? "" : " (kept)"}, cached ${cached.seconds.toFixed(2)} s: ${speedup.toFixed(2)} × as fast (predicted ${predictedSpeedup.toFixed(2)} ×); PSNR ${decibels.map(decibel).join(", ")}`,
  );
  return { plain, cached, schedule, speedup, predictedSpeedup, psnr: decibels };
}

async function scheduleFor(pipeline: Pipeline, options: LiveCachedOptions): Promise<Schedule> {
  const {
    schedule,
    delta,
    profile,
    kinds,
    steps,
    solver,
    schedulerConfig,
    guidanceScale,
    negativePrompt,
    height,
    width,
    signal,
  } = options;
  if ((schedule === undefined) === (delta === undefined))
    throw new ArgumentError(
      `live: expected a schedule or a delta, found ${schedule === undefined ? "neither" : "both"}`,
    );
  if (schedule !== undefined) return schedule;
  if (profile !== undefined) return threshold(profile, { delta: Number(delta), kinds });
  const setting = {
    steps,
    solver,
    schedulerConfig,
    guidanceScale,
    negativePrompt: [negativePrompt].flat()[0],
    height,
    width,
  };
  const kept = memory<Profile>(pipeline, ["profile", setting]);
  const known = kept.get();
  if (known !== undefined) return threshold(known, { delta: Number(delta), kinds });
  const progress = notebookProgress(`profiling ${PROFILED_PROMPTS} prompts, once`, "evaluations");
  try {
    const measured = await profileChange(pipeline, {
      ...setting,
      prompts: PAPER_PRESET.prompts.slice(0, PROFILED_PROMPTS),
      seeds: [0],
      signal,
      onProgress: progress.update,
    });
    return threshold(kept.set(measured), { delta: Number(delta), kinds });
  } finally {
    progress.stop();
  }
}
