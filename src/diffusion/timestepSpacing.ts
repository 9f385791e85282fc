/**
 * NumPy's sequences, in float64 and with NumPy's rounding, from which diffusers takes its
 * timesteps. Being off by one would give the network another timestep, so these are exact.
 */

/** How the inference timesteps lie among the training timesteps (arXiv 2305.08891, Table 2). */
export type TimestepSpacing =
  /** evenly from the first to the last training timestep, both included */
  | "linspace"
  /** a fixed distance apart, counted up from 0, plus steps_offset */
  | "leading"
  /** a fixed distance apart, counted down from the last training timestep */
  | "trailing";

/** The keys of a scheduler config that place the inference timesteps. */
export interface TimestepSpacingConfig {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: TimestepSpacing;
  /** Added to every timestep of leading spacing. */
  readonly steps_offset: number;
}

/**
 * Inference timesteps, the noisiest first. Those of linspace are not rounded yet: some schedulers
 * round them, others evaluate the network between the training timesteps. Trailing spacing gives
 * one timestep more than asked for at a few step counts ({@link countdown}).
 *
 * Source: `set_timesteps` of diffusers' DDIM, PNDM, Euler and Heun schedulers.
 */
export function spacedTimesteps(config: TimestepSpacingConfig, count: number): number[] {
  const trainingSteps = config.num_train_timesteps;
  switch (config.timestep_spacing) {
    case "linspace":
      return linspace(0, trainingSteps - 1, count).reverse();
    case "leading": {
      const distance = Math.floor(trainingSteps / count);
      return Array.from({ length: count }, (_, i) => (count - 1 - i) * distance + config.steps_offset);
    }
    case "trailing":
      return countdown(trainingSteps, trainingSteps / count).map((position) => roundHalfToEven(position) - 1);
  }
}

/** numpy.linspace(start, stop, count). */
export function linspace(start: number, stop: number, count: number): number[] {
  if (count === 1) return [start];
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? stop : i * step + start));
}

/**
 * numpy.arange(start, 0, -step). The length is ⌈start ÷ step⌉ in float64, so that it may be
 * one longer than start ÷ step in exact arithmetic (1000 ÷ (1000 ÷ 61) is just above 61).
 */
export function countdown(start: number, step: number): number[] {
  const length = Math.ceil(-start / -step);
  const stride = start - step - start;
  return Array.from({ length }, (_, i) => start + i * stride);
}

/** numpy.round: halves go to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
