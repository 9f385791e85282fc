/**
 * The forward process of diffusion: how much of the image is left at each training timestep.
 *
 * Notation
 *   β_t    beta           noise added at training timestep t
 *   ᾱ_t    alphasCumprod  Π_{s≤t} (1 − β_s), the share of signal power left
 *
 * Everything is rounded to float32 where torch rounds, so that the solvers' differences of
 * nearly equal numbers come out as in diffusers.
 */
import { ArgumentError } from "../errors.js";

/** How β_t runs over the training timesteps. */
export type BetaSchedule =
  /** evenly from beta_start to beta_end */
  | "linear"
  /** evenly in √β: latent diffusion's own */
  | "scaled_linear"
  /** ᾱ_t follows a squared cosine (Nichol & Dhariwal 2021, eq. 17) */
  | "squaredcos_cap_v2"
  /** ᾱ falls exponentially, to e^−12 */
  | "exp";

/** The keys of a scheduler config that fix the forward process. */
export interface NoiseScheduleConfig {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: BetaSchedule;
  /** If given, these are the betas, and start, end and schedule have no effect. */
  readonly trained_betas: readonly number[] | null;
  /** Shift and stretch √ᾱ so that the last training timestep is pure noise. Default: false */
  readonly rescale_betas_zero_snr?: boolean;
}

/** Cap of β where it follows from ᾱ, as in the cosine schedule, which would reach 1 at its end. */
const MAX_BETA = 0.999;

/** The smallest positive ᾱ of a zero-terminal-SNR schedule for solvers that divide by it (diffusers' own). */
const SMALLEST_ALPHA_CUMPROD = 2 ** -24;

/**
 * ᾱ_t for every training timestep, float32.
 *
 * Source: diffusers/schedulers/scheduling_ddim.py, `DDIMScheduler.__init__`.
 *
 * @throws ArgumentError if trained_betas does not have num_train_timesteps entries
 */
export function alphasCumprod(config: NoiseScheduleConfig): Float32Array {
  const betas = betasOf(config);
  return cumulativeProduct(oneMinus(config.rescale_betas_zero_snr === true ? rescaleZeroTerminalSnr(betas) : betas));
}

/**
 * ᾱ_t with a last entry above 0 also where the schedule ends in pure noise, so that σ = √((1 − ᾱ) / ᾱ) is finite.
 *
 * @throws ArgumentError if trained_betas does not have num_train_timesteps entries
 */
export function positiveAlphasCumprod(config: NoiseScheduleConfig): Float32Array {
  const alphas = alphasCumprod(config);
  if (config.rescale_betas_zero_snr === true) alphas[alphas.length - 1] = SMALLEST_ALPHA_CUMPROD;
  return alphas;
}

function betasOf(config: NoiseScheduleConfig): Float32Array {
  const { num_train_timesteps: count, beta_start: start, beta_end: end } = config;
  if (config.trained_betas !== null) {
    if (config.trained_betas.length !== count) {
      throw new ArgumentError(
        `trained_betas: must have num_train_timesteps (${count}) entries, got ${config.trained_betas.length}`,
      );
    }
    return Float32Array.from(config.trained_betas);
  }
  switch (config.beta_schedule) {
    case "linear":
      return linspaceFloat32(start, end, count);
    case "scaled_linear":
      return linspaceFloat32(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case "squaredcos_cap_v2":
      return betasFrom((time) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2, count);
    case "exp":
      return betasFrom((time) => Math.exp(-12 * time), count);
  }
}

/** β from ᾱ as a function of time in 0…1. */
function betasFrom(alphaBar: (time: number) => number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), MAX_BETA),
  );
}

/** Algorithm 1 of "Common Diffusion Noise Schedules and Sample Steps are Flawed" (arXiv 2305.08891). */
function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulativeProduct(oneMinus(betas)).map(Math.sqrt);
  const first = roots[0];
  const last = roots[roots.length - 1];
  const stretch = Math.fround(first / Math.fround(first - last));
  const alphaBar = roots
    .map((root) => root - last)
    .map((root) => root * stretch)
    .map((root) => root * root);
  const alphas = alphaBar.map((value, i) => (i === 0 ? value : value / alphaBar[i - 1]));
  return oneMinus(alphas);
}

function oneMinus(values: Float32Array): Float32Array {
  return values.map((value) => 1 - value);
}

/** torch.cumprod on the CPU: the running product is float64, each entry is rounded to float32. */
function cumulativeProduct(values: Float32Array): Float32Array {
  let product = 1;
  return values.map((value) => {
    product *= value;
    return product;
  });
}

/** torch.linspace in float32: counted up from the start in the first half, down from the end in the second. */
export function linspaceFloat32(start: number, end: number, count: number): Float32Array {
  const first = Math.fround(start);
  const last = Math.fround(end);
  if (count === 1) return Float32Array.of(first);
  const step = Math.fround(Math.fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? first + step * i : last - step * (count - i - 1),
  );
}
