/**
 * What a study measured: many arms on the same trajectories, every raw value kept. Plain data, so that
 * figures, statistics and other tools read it without running anything.
 */
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { Trajectory } from "../instrument/profile/profile.js";

/** One way to sample: plain with some number of steps, or cached. */
export interface Arm {
  /** for people, and unique within a study: "plain 20", "threshold δ 0.2, transformers, hold" */
  readonly name: string;
  readonly solver: SolverName;
  /** num_inference_steps */
  readonly steps: number;
  /** absent in a plain arm */
  readonly cached?: {
    readonly schedule: Schedule;
    /** name of the reuse rule, the library's or a defined one (`defineReuseRule`) */
    readonly reuse: string;
    /** what may be cached, for people: "transformers", "all kinds"; for a schedule that was given, its name */
    readonly kinds: string;
    /** the number that a sweep varies (δ, interval, quantile, budget), where there is one */
    readonly parameter?: number;
  };
}

/** Distances of an arm's results from a reference, one entry a trajectory in the study's order. */
export interface Distances {
  /** relative L2 of the final latents */
  readonly latent: readonly number[];
  /** of the decoded images, in dB; higher is closer */
  readonly psnr: readonly number[];
  /** of the decoded images, 0 to 1; higher is closer */
  readonly ssim: readonly number[];
}

export interface ArmResult {
  readonly arm: Arm;
  /** against a near-converged solution of the same ODE from the same noise */
  readonly toConverged: Distances;
  /** against the plain run of the same solver and steps; absent in a plain arm, and in one with other steps than the study's */
  readonly toPlain?: Distances;
  /** seconds of whole samplings of one batch, decoding left out: one entry a batch and repeat */
  readonly seconds: readonly number[];
  /** seconds of the study's plain run, taken in turn with each entry of `seconds` on the same machine */
  readonly plainSeconds?: readonly number[];
  /** share of the scheduled blocks' evaluations that computed, 0 to 1; 1 in a plain arm */
  readonly computedShare: number;
  /** seconds of the study's plain run ÷ this arm's, as the cost model predicts; absent without costs */
  readonly predictedSpeedup?: number;
}

export interface StudyResult {
  readonly format: "blockcache-study";
  readonly version: 1;
  readonly model: { readonly fingerprint: string; readonly name: string };
  readonly solver: SolverName;
  readonly guidance_scale: number;
  /** num_inference_steps of the plain run that all arms are timed beside */
  readonly steps: number;
  /** num_inference_steps of the near-converged reference */
  readonly converged_steps: number;
  readonly timestep_spacing: string;
  /** images a batch */
  readonly batch: number;
  readonly machine: string;
  readonly trajectories: readonly Trajectory[];
  readonly results: readonly ArmResult[];
}
