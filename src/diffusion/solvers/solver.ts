import type { FloatTensor } from "../../models/tensor.js";
import type { Generators } from "../noise.js";

/** The solvers of the reverse process that are implemented. */
export type SolverName =
  /** denoising diffusion implicit models (Song et al. 2020), diffusers' DDIMScheduler */
  | "ddim"
  /** DPM-Solver++ multistep (Lu et al. 2022) and its relatives, diffusers' DPMSolverMultistepScheduler */
  | "dpmsolver++";

/** Runs the network once: the guided model output for these latents at this timestep, of the latents' shape. */
export type Denoise = (latents: FloatTensor, timestep: number) => Promise<FloatTensor>;

/** What a solver yields after each network evaluation. */
export interface SolverStep {
  /** 0-based position in `Solver.timesteps`. */
  readonly index: number;
  /** The training timestep at which the network was evaluated. */
  readonly timestep: number;
  /** The latents after this step, `[batch, channels, height, width]` float32. */
  readonly latents: FloatTensor;
  /** The original (x0) as predicted at this step, clipped or thresholded where the config asks for it. */
  readonly predictedOriginal: FloatTensor;
}

/** What a sampling run may choose beside the scheduler config. */
export interface SampleOptions {
  /** DDIM's η: 0 is deterministic (default), 1 is as noisy as DDPM. The other solvers have no such knob. */
  readonly eta?: number;
  /** Where a stochastic solver draws its noise; required when it draws any. */
  readonly generator?: Generators;
}

/** A reverse-process solver, resolved for one number of steps. */
export interface Solver {
  readonly name: SolverName;
  /** Every key of the diffusers scheduler class with its resolved value, plain JSON. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Network evaluations a sampling run. diffusers' trailing spacing may give one more or fewer than asked for. */
  readonly numInferenceSteps: number;
  /** The training timestep of each network evaluation, in order. */
  readonly timesteps: readonly number[];
  /** The unit-normal start latents are multiplied by this. */
  readonly initNoiseSigma: number;
  /**
   * Solves from start latents `[batch, channels, height, width]` to an image, one step a yield.
   * The latents handed in are not changed.
   */
  sample(denoise: Denoise, latents: FloatTensor, options?: SampleOptions): AsyncGenerator<SolverStep, void, undefined>;
}
