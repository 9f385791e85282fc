/**
 * What a solver of the reverse process is, and what a *step* is.
 *
 * `num_inference_steps` is what the caller asks for. What a run counts is its **network evaluations**: DDIM, Euler,
 * LCM, UniPC and DPM-Solver++ make one per step, PNDM a few more at its start, Heun two per step but one at the last.
 * `Solver.timesteps` lists them all, each with the timestep that the network sees, so that a timestep may be listed
 * twice. A solver yields once per evaluation; hooks, profiles, recordings and schedules index evaluations, from 0, and
 * "step" in their names means an evaluation.
 */
import type { FloatTensor } from "../../numerics/tensor.js";
import type { Generators } from "../../numerics/noise.js";

/** The solvers of the reverse process that are implemented. */
export type SolverName =
  /** denoising diffusion implicit models (Song et al. 2020), diffusers' DDIMScheduler */
  | "ddim"
  /** pseudo linear multistep (Liu et al. 2022), PNDMScheduler */
  | "pndm"
  /** Euler's method, EulerDiscreteScheduler */
  | "euler"
  /** Euler's method with noise added at each step, EulerAncestralDiscreteScheduler */
  | "euler-ancestral"
  /** Heun's method (Karras et al. 2022), HeunDiscreteScheduler */
  | "heun"
  /** DPM-Solver++ multistep (Lu et al. 2022) and its relatives, DPMSolverMultistepScheduler */
  | "dpmsolver++"
  /** the same, with algorithm_type sde-dpmsolver++: noise added at each step */
  | "sde-dpmsolver++"
  /** DPM-Solver++ singlestep and its relatives, DPMSolverSinglestepScheduler */
  | "singlestep-dpmsolver++"
  /** predictor and corrector (Zhao et al. 2023), UniPCMultistepScheduler */
  | "unipc"
  /** latent consistency models (Luo et al. 2023), LCMScheduler */
  | "lcm";

/** Runs the network once: the guided model output for these latents at this timestep, of the latents' shape. */
export type Denoise = (latents: FloatTensor, timestep: number) => Promise<FloatTensor>;

/** What a solver yields after each network evaluation. */
export interface SolverStep {
  /** 0-based position in `Solver.timesteps`. */
  readonly index: number;
  /** The timestep at which the network was evaluated; Euler and Heun also evaluate between training timesteps. */
  readonly timestep: number;
  /** The latents after this evaluation, `[batch, channels, height, width]` float32, at the solver's own scale. */
  readonly latents: FloatTensor;
  /** The original (x0) as predicted at this evaluation, clipped or thresholded where the config asks for it. */
  readonly predictedOriginal: FloatTensor;
}

/** What a sampling run may choose besides the scheduler config. */
export interface SolverOptions {
  /** DDIM's η: 0 is deterministic (default), 1 is as noisy as DDPM. The other solvers have no such knob. */
  readonly eta?: number;
  /**
   * Where a stochastic solver draws its noise; required when it draws any. In a pipeline the start latents are
   * drawn from it first; where they are given instead, its first draw is the first step's noise.
   */
  readonly generator?: Generators;
}

/** A reverse-process solver, resolved for one number of steps. */
export interface Solver {
  readonly name: SolverName;
  /**
   * Every key of the diffusers scheduler class, and those of other classes that it reads, with their resolved values,
   * plain JSON.
   */
  readonly config: Readonly<Record<string, unknown>>;
  /** As asked for; how many network evaluations that makes is the length of `timesteps`. */
  readonly numInferenceSteps: number;
  /** The timestep of each network evaluation, in order. */
  readonly timesteps: readonly number[];
  /** The unit-normal start latents are multiplied by this. */
  readonly initNoiseSigma: number;
  /**
   * Solves from start latents `[batch, channels, height, width]` to an image, with one network evaluation per yield.
   * Scales what the network is given where the class does (`scale_model_input`). The latents handed in are not changed.
   */
  sample(denoise: Denoise, latents: FloatTensor, options?: SolverOptions): AsyncGenerator<SolverStep, void, undefined>;
}
