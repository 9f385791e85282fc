import type { SamplingRecord } from "../../diffusion/samplingRecord.js";
import type { BlockKind } from "../../graphs/block.js";
import type { Precision } from "../../graphs/graphBuilder.js";

/** One sampled trajectory: a prompt from one seed's noise. */
export interface Trajectory {
  readonly prompt: string;
  readonly seed: number;
}

/** The measures of change kept for each block, trajectory and step. */
export const MEASURES = [
  /** relative L1, both guidance halves together: the paper's Eq. 6 */
  "change",
  /** relative L1 of the conditional half alone */
  "change_cond",
  /** relative L1 of the unconditional half alone; 0 where guidance is off */
  "change_uncond",
  /** relative L2, both halves together: ‖C(t) − C(t−1)‖₂ / ‖C(t)‖₂ */
  "change_l2",
  /** cosine similarity of C(t) and C(t−1), both halves together */
  "cosine",
] as const;
export type Measure = (typeof MEASURES)[number];

/** A block as a profile knows it. */
export interface ProfiledBlock {
  /** diffusers module path, for example `down_blocks.0.attentions.1` */
  readonly id: string;
  readonly kind: BlockKind;
  /** height and width of the branch output at this latent size */
  readonly resolution: readonly [height: number, width: number];
}

/** What must be equal for two profiles to be of the same setting. */
export interface ProfileSetting extends SamplingRecord {
  /** null: none was given, and the model uses zeros as its embedding */
  readonly negative_prompt: string | null;
  /** latent height and width */
  readonly latent_size: readonly [height: number, width: number];
}

/** Change of every block's branch over time, raw per trajectory (design: `*.safetensors` profile). */
export interface Profile {
  readonly setting: ProfileSetting;
  /** the devices that computed the values, separated by commas; provenance, not part of the setting */
  readonly device: string;
  /** element type of the network that was measured */
  readonly precision: Precision;
  readonly library_version: string;
  readonly trajectories: readonly Trajectory[];
  /** in execution order */
  readonly blocks: readonly ProfiledBlock[];
  /**
   * measure → block id → values [trajectories, steps], row-major.
   * Entry 0 of each row is 0 (1 for `cosine`); entry t compares step t with t − 1.
   */
  readonly values: Readonly<Partial<Record<Measure, Readonly<Record<string, Float64Array>>>>>;
  /** change between all pairs of steps within a window, where it was asked for */
  readonly pairs?: PairChange;
}

/** Relative L1 of C(t) against C(t − k), both guidance halves together, for k = 1 … window. */
export interface PairChange {
  readonly window: number;
  /** block id → values [trajectories, steps, window], row-major: entry k − 1 compares t with t − k; 0 where t < k */
  readonly change: Readonly<Record<string, Float64Array>>;
}
