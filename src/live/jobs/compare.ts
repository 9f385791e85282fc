/** A cached run beside the plain one, step by step in turn, told as it happens. */
import { setImmediate as turn } from "node:timers/promises";
import { decodeImages } from "../../diffusion/decodeImages.js";
import { toDataUri } from "../../diffusion/image.js";
import { latentPreview } from "../../diffusion/latentPreview.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { sample } from "../../diffusion/sample.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import { differenceMap } from "../../quality/differenceMap.js";
import { psnr } from "../../quality/distance.js";
import { bitmapUri } from "../bitmap.js";
import { memory } from "../remember.js";
import { sampleOptions } from "../settings.js";
import type { ComparisonResult, FinishedRun, JobOptions, Jobs, RunName } from "../worker.js";
import { cachedHook } from "./cachedHook.js";
import { stopwatch } from "./stopwatch.js";

/** How often the difference is multiplied before it is shown. */
export const DIFFERENCE_GAIN = 4;
/** Cells light up at least so often while a large network's evaluation lasts. */
const MILLISECONDS_BETWEEN_LIGHTS = 200;

/**
 * The cached run goes first in each turn: what was changed is seen first. The plain run is kept, so that another
 * schedule waits for the cached run alone.
 */
export async function compare(
  pipeline: Pipeline,
  { settings, cached: by }: Jobs["compare"]["input"],
  { signal, onEvent }: JobOptions<"compare">,
): Promise<ComparisonResult> {
  const options = sampleOptions(settings);
  const hook = await cachedHook(pipeline, by);
  const preview = await latentPreview(pipeline);
  const kept = memory<FinishedRun>(pipeline, ["compared plain", settings]);
  const known = kept.get();
  const runs = {
    cached: stopwatch(sample(pipeline, { ...options, signal, hooks: [hook, lights(onEvent)] })),
    ...(known === undefined ? { plain: stopwatch(sample(pipeline, { ...options, signal })) } : {}),
  };
  const turns = Object.entries(runs) as [RunName, typeof runs.cached][];
  try {
    for (let steps = Infinity, step = 0; step < steps; step++) {
      for (const [run, clock] of turns) {
        const taken = await clock.next();
        if (taken === undefined) continue;
        steps = taken.total;
        const picture = bitmapUri(preview(taken.predictedOriginal)[0]);
        onEvent?.({ preview: { run, step: taken.index + 1, total: taken.total, picture } });
        // The next evaluation holds the event loop for a while: first the picture leaves, and a change comes in.
        await turn();
      }
    }
    const finish = async ({ last, seconds }: typeof runs.cached): Promise<FinishedRun> => {
      const [image] = await decodeImages(pipeline, last().latents, signal);
      return { image, picture: await toDataUri(image), seconds: seconds() };
    };
    // The generators' last step has been taken; their end releases what is cached.
    for (const [, clock] of turns) await clock.stop();
    const cached = await finish(runs.cached);
    const plain = known ?? kept.set(await finish(runs.plain ?? runs.cached));
    const decibels = psnr(cached.image, plain.image);
    return {
      plain,
      cached,
      plainKept: known !== undefined,
      difference: await toDataUri(differenceMap(cached.image, plain.image, DIFFERENCE_GAIN)),
      speedup: plain.seconds / cached.seconds,
      psnr: Number.isFinite(decibels) ? decibels : null,
    };
  } finally {
    for (const [, clock] of turns) await clock.stop();
  }
}

/** Tells what each block did, a few times a second and at the end of each evaluation. */
function lights(onEvent: JobOptions<"compare">["onEvent"]): SamplingHook {
  let [computed, reused]: [string[], string[]] = [[], []];
  let told = performance.now();
  const tell = (evaluation: number): void => {
    if (computed.length + reused.length > 0) onEvent?.({ lit: { evaluation, computed, reused } });
    [computed, reused] = [[], []];
    told = performance.now();
  };
  return {
    answer: () => "compute",
    executed({ id }, how, { index }) {
      (how === "computed" ? computed : reused).push(id);
      if (performance.now() - told > MILLISECONDS_BETWEEN_LIGHTS) tell(index);
    },
    evaluated({ index }) {
      tell(index);
    },
  };
}
