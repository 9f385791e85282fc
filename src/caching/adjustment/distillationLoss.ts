/** How far a student is from its teacher, with the gradient at what the student gave. */

/** What the student is to have in common with the teacher. */
export const LOSSES = ["blocks", "output", "latents"] as const;
export type DistillationLoss =
  /** what each block gives, relative to its size (the paper's Figure 5) */
  | "blocks"
  /** what guidance makes of the network's output */
  | "output"
  /** the final latents, the teacher sampling from the same noise: gradients run back through the whole sampling */
  | "latents";

/** The losses for which a teacher runs at each evaluation. */
export type TaughtLoss = Exclude<DistillationLoss, "latents">;

/** Σ(x − y)² / Σy², a block's part of their mean. */
export function distance(
  out: Float32Array,
  target: Float32Array,
  blocks: number,
): { value: number; gradient: Float32Array } {
  const size = blocks * target.reduce((sum, value) => sum + value ** 2, 0);
  const gradient = out.map((value, index) => (2 * (value - target[index])) / size);
  return { value: out.reduce((sum, value, index) => sum + (value - target[index]) ** 2, 0) / size, gradient };
}

/** The same of w·conditional + (1 − w)·unconditional, the halves one below the other. */
export function guidedDistance(
  out: Float32Array,
  target: Float32Array,
  w: number,
): { value: number; gradient: Float32Array } {
  const half = out.length / 2;
  const guide = (values: Float32Array, index: number): number => w * values[half + index] + (1 - w) * values[index];
  let size = 0;
  for (let index = 0; index < half; index++) size += guide(target, index) ** 2;
  const gradient = new Float32Array(out.length);
  let value = 0;
  for (let index = 0; index < half; index++) {
    const difference = guide(out, index) - guide(target, index);
    value += difference ** 2 / size;
    gradient[half + index] = (2 * w * difference) / size;
    gradient[index] = (2 * (1 - w) * difference) / size;
  }
  return { value, gradient };
}
