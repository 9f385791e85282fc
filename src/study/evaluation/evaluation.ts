/** What an evaluation found: plain data, for tables and figures. */
import type { Trajectory } from "../../instrument/profile/profile.js";
import type { Interval } from "../../quality/sets/bootstrap.js";
import type { Difference } from "../../quality/sets/measured.js";
import type { Arm } from "../result.js";
import type { StudySetting } from "../setting.js";

/** What all settings of an evaluation share. */
export type EvaluationSampling = Pick<
  StudySetting,
  "model" | "timestep_spacing" | "scheduler_config" | "guidance_scale" | "negative_prompt" | "latent_size" | "batch"
>;

/** A number with its 95 % interval. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** A metric of one setting. */
export interface MetricResult extends Estimate {
  /** without the bias that a set of this size brings, where it can be told */
  readonly unbiased?: number;
  /** less the baseline's, picture beside picture; absent for the baseline itself */
  readonly difference?: Difference;
}

/** One row of Table 1. */
export interface EvaluatedSetting {
  readonly arm: Arm;
  /** from prompts to final latents, decoding left out */
  readonly images_per_second: Estimate;
  /** seconds of the baseline ÷ this setting's, batch by batch */
  readonly speedup: Estimate;
  /** of the denoising network, for one image */
  readonly multiply_adds: number;
  /** metric's name → what it is; metrics of trajectories are against the baseline's, which has none of them */
  readonly metrics: Readonly<Record<string, MetricResult>>;
}

export interface Evaluation {
  readonly format: "blockcache-evaluation";
  readonly version: 1;
  readonly sampling: EvaluationSampling;
  /** those that samplings ran on, for people */
  readonly machines: readonly string[];
  /** in the order of the pictures' numbers */
  readonly trajectories: readonly Trajectory[];
  /** those that were asked for again, and count once */
  readonly repeated?: number;
  /** name of the setting that all others are compared with */
  readonly baseline: string;
  /** what the features of set metrics are of, and the pictures that they are compared with */
  readonly extractor: string;
  readonly reference?: { readonly name: string; readonly pictures: number };
  readonly settings: readonly EvaluatedSetting[];
}
