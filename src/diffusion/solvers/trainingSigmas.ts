/** The noise level σ = √((1 − ᾱ) / ᾱ) as a function of the training timestep, and its inverse. */

/** σ at every training timestep, ascending, float32. */
export function trainingSigmas(alphasCumprod: Float32Array): Float32Array {
  const { fround, sqrt } = Math;
  return alphasCumprod.map((alpha) => sqrt(fround(fround(1 - alpha) / alpha)));
}

/** σ at a timestep, linear between the training ones and held beyond them (numpy.interp). */
export function sigmaAt(sigmas: Float32Array, timestep: number): number {
  const last = sigmas.length - 1;
  const clamped = Math.min(Math.max(timestep, 0), last);
  const below = Math.min(Math.floor(clamped), last - 1);
  if (clamped === below || last === 0) return sigmas[clamped];
  return (sigmas[below + 1] - sigmas[below]) * (clamped - below) + sigmas[below];
}

/**
 * The (fractional) training timestep of a σ, by linear interpolation of log σ between the training ones.
 *
 * Source: `_sigma_to_t` of diffusers' schedulers. NumPy's float32 logarithm and torch's float32 root
 * differ in their last bits from CPU to CPU, and so do diffusers' fractional timesteps, by up to 1e-4 (0.1 where almost
 * no signal is left), and now and then by 1 where it truncates them; here both functions are correctly rounded.
 *
 * @param logSigmas log σ of every training timestep, float32
 */
export function timestepAt(logSigmas: Float32Array, sigma: number): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  const below = Math.max(
    0,
    Math.min(
      logSigmas.length - 2,
      logSigmas.findLastIndex((each) => each <= logSigma),
    ),
  );
  const low = logSigmas[below];
  const high = logSigmas[below + 1];
  const weight = Math.min(Math.max((low - logSigma) / Math.fround(low - high), 0), 1);
  return (1 - weight) * below + weight * (below + 1);
}
