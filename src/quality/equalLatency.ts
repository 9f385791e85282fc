/** How good plain sampling is at a latency that lies between two numbers of steps. */

/** A plain run: what it costs, and each trajectory's distance from the reference. */
export interface PlainRun {
  /** in any unit, the same for all runs that are compared */
  readonly latency: number;
  readonly distances: readonly number[];
}

/**
 * Each trajectory's distance in a plain run that takes `latency`, interpolated between the two measured runs next to
 * it: the logarithm of the distance is linear in latency (a solver's error falls by a power of its step size).
 * Undefined where `latency` is outside the measured range: nothing is extrapolated.
 */
export function plainAtLatency(runs: readonly PlainRun[], latency: number): number[] | undefined {
  const sorted = [...runs].sort((a, b) => a.latency - b.latency);
  const upper = sorted.findIndex((run) => run.latency >= latency);
  if (upper === -1) return undefined;
  const above = sorted[upper];
  if (above.latency === latency) return [...above.distances];
  if (upper === 0) return undefined;
  const below = sorted[upper - 1];
  const share = (latency - below.latency) / (above.latency - below.latency);
  return below.distances.map((distance, trajectory) => distance ** (1 - share) * above.distances[trajectory] ** share);
}
