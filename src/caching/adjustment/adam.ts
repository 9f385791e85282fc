/** Adam (Kingma & Ba 2015) with a cosine rate, and gradients clipped by their norm. */

/** β₁, β₂ and ε as the paper has them. */
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

/** Running means of a gradient and of its square. */
export interface AdamState {
  readonly mean: Float64Array;
  readonly square: Float64Array;
}

/** Half a cosine from `rate` at the first of so many steps, counted from 1, to 0 after the last. */
export function cosineRate(rate: number, step: number, steps: number): number {
  return (rate * (1 + Math.cos((Math.PI * (step - 1)) / steps))) / 2;
}

/** Shortens gradients, all together, to a norm of at most `clip`; returns the norm that they had. */
export function clipNorm(gradients: Iterable<Float64Array>, clip: number): number {
  const all = [...gradients];
  const norm = Math.sqrt(all.reduce((sum, each) => each.reduce((part, value) => part + value * value, sum), 0));
  if (norm > clip) for (const each of all) each.forEach((value, index) => (each[index] = (value * clip) / norm));
  return norm;
}

/** One step on some parameters, in place. @param step how many steps these have taken with this one */
export function adamStep(
  parameters: Float64Array,
  gradient: Float64Array,
  { mean, square }: AdamState,
  step: number,
  rate: number,
): void {
  for (let index = 0; index < parameters.length; index++) {
    mean[index] = BETA1 * mean[index] + (1 - BETA1) * gradient[index];
    square[index] = BETA2 * square[index] + (1 - BETA2) * gradient[index] ** 2;
    const [first, second] = [mean[index] / (1 - BETA1 ** step), square[index] / (1 - BETA2 ** step)];
    parameters[index] -= (rate * first) / (Math.sqrt(second) + EPSILON);
  }
}
