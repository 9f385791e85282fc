import type { Pipeline } from "../../diffusion/pipeline.js";
import { finalLatentsOf, sample } from "../../diffusion/sample.js";
import type { SamplingHook } from "../../diffusion/samplingHook.js";
import type { SampleOptions } from "../../diffusion/samplingPlan.js";
import type { Trajectory } from "../../instrument/profile/profile.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import { cachedRun } from "../run/cachedRun.js";
import type { ReuseRule } from "../run/reuseRule.js";
import type { Schedule } from "../schedule/schedule.js";
import { scheduleSampling } from "../schedule/scheduleSampling.js";
import type { Adjustment } from "./adjustment.js";
import { distance } from "./distillationLoss.js";

/** How far the student's final latents are from the plain run's, on prompts that it is not trained on. */
export class HeldOutRuns {
  readonly #pipeline: Pipeline;
  readonly #schedule: Schedule;
  readonly #reuse: ReuseRule;
  readonly #options: SampleOptions;
  #plain: FloatTensor | undefined;

  constructor(
    pipeline: Pipeline,
    schedule: Schedule,
    trajectories: readonly Trajectory[],
    {
      reuse,
      ...options
    }: Pick<SampleOptions, "negativePrompt" | "height" | "width" | "signal"> & { readonly reuse: ReuseRule },
  ) {
    this.#pipeline = pipeline;
    this.#schedule = schedule;
    this.#reuse = reuse;
    this.#options = {
      ...scheduleSampling(schedule),
      ...options,
      prompt: trajectories.map(({ prompt }) => prompt),
      seed: trajectories.map(({ seed }) => seed),
    };
  }

  /** The mean over trajectories of √(Σ(x − y)² / Σy²). */
  async distance(adjustment: Adjustment): Promise<number> {
    this.#plain ??= await this.#finalLatents();
    const plain = this.#plain;
    const run = cachedRun(this.#schedule, { reuse: this.#reuse, adjustment });
    const latents = await this.#finalLatents(run);
    const [count] = plain.dims;
    const size = plain.data.length / count;
    let sum = 0;
    for (let from = 0; from < plain.data.length; from += size) {
      const [one, other] = [latents, plain].map(({ data }) => data.subarray(from, from + size));
      sum += Math.sqrt(distance(one, other, 1).value);
    }
    return sum / count;
  }

  #finalLatents(hook?: SamplingHook): Promise<FloatTensor> {
    return finalLatentsOf(sample(this.#pipeline, { ...this.#options, hooks: hook === undefined ? [] : [hook] }));
  }
}
