/**
 * What a study measured: many arms on the same trajectories, every raw value kept. Plain data, so that
 * figures, statistics and other tools read it without running anything.
 */
import type { Term } from "../caching/adjustment/adjustment.js";
import type { Schedule } from "../caching/schedule/schedule.js";
import type { SolverName } from "../diffusion/solvers/index.js";
import type { Trajectory } from "../instrument/profile/profile.js";

/** An adjustment as an arm and its jobs carry it: a file, and the digest that it must have. */
export interface AdjustmentReference {
  /** an absolute path */
  readonly file: string;
  readonly sha256: string;
  /** what it mends stand-ins by; the paper's has scale and shift */
  readonly terms: readonly Term[];
}

/** One way to sample: plain with some number of steps, or cached. */
export interface Arm {
  /** for people, and unique within a study: "plain 20", "threshold δ 0.2, transformers, hold" */
  readonly name: string;
  readonly solver: SolverName;
  /** num_inference_steps */
  readonly steps: number;
  /** names of the arms that are the same as this one, schedule and rule: they are sampled once and listed once */
  readonly also?: readonly string[];
  /** absent in a plain arm */
  readonly cached?: {
    readonly schedule: Schedule;
    /** name of the reuse rule, the library's or a defined one (`defineReuseRule`) */
    readonly reuse: string;
    /** of the weights that a rule of one's own gives by this schedule: an edited rule is another arm. Set by the study */
    readonly reuseDigest?: string;
    /** mends what stands in; fitted for this schedule and rule */
    readonly adjustment?: AdjustmentReference;
    /** speed-ups that were asked for, where some were, by this arm and those in `also`. Set by the study */
    readonly askedSpeedups?: readonly number[];
    /** what may be cached, for people: "transformers", "all kinds"; for a schedule that was given, its name */
    readonly kinds: string;
    /** the number that a sweep varies (δ, interval, quantile, budget), where there is one */
    readonly parameter?: number;
  };
}

/** Every name that an arm was asked for by. */
export function armNames({ name, also = [] }: Arm): readonly string[] {
  return [name, ...also];
}

/** Distances of an arm's results from a reference, one entry for each trajectory, in the study's order. */
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
  /** of the network, for one image, where nothing is reused; absent in studies of earlier versions */
  readonly evaluations?: number;
  /** seconds of whole samplings of one batch, decoding left out: one entry for each batch and repeat */
  readonly seconds: readonly number[];
  /** seconds of the study's plain run, taken in turn with each entry of `seconds` on the same machine */
  readonly plainSeconds?: readonly number[];
  /** share of the scheduled blocks' evaluations that computed, 0 to 1; 1 in a plain arm */
  readonly computedShare: number;
  /** seconds of the study's plain run ÷ this arm's, as the cost model predicts; absent without costs */
  readonly predictedSpeedup?: number;
}

/** An arm that gave no numbers. */
export interface FailedArm {
  readonly arm: Arm;
  readonly reason: string;
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
  /** prompts × seeds, each once */
  readonly trajectories: readonly Trajectory[];
  /** trajectories that were asked for again, and do not count twice; absent: none */
  readonly repeated?: number;
  readonly results: readonly ArmResult[];
  /** absent: none */
  readonly failed?: readonly FailedArm[];
}
