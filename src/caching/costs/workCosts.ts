/** Costs that are counted instead of measured: the same on every machine. */
import type { Pipeline } from "../../diffusion/pipeline.js";
import type { BlockSeconds, Costs } from "./costs.js";
import { networkWork } from "./networkWork.js";

/** Speed of the imaginary machine that these costs are for; `measureCosts` times a real one. */
const MULTIPLY_ADDS_A_SECOND = 1e9;

export interface WorkCostsOptions {
  /** rows of a network evaluation. Default: 2, one image with guidance */
  readonly rows?: number;
  readonly latentSize?: readonly [height: number, width: number];
}

/**
 * Costs of an imaginary machine that spends time on multiply-adds alone, so that a reused block costs nothing. A budget
 * then limits multiply-adds, and a heuristic finds the same schedule for it on every machine.
 */
export async function workCosts(
  pipeline: Pipeline,
  { rows = 2, latentSize = pipeline.defaultLatentSize }: WorkCostsOptions = {},
): Promise<Costs> {
  const { outline, multiplyAdds } = networkWork(pipeline, latentSize);
  const ofEach = (seconds: (count: number) => number): BlockSeconds =>
    Object.fromEntries(Object.entries(multiplyAdds).map(([id, count]) => [id, Float64Array.of(seconds(count))]));
  const compute = ofEach((count) => (rows * count) / MULTIPLY_ADDS_A_SECOND);
  const nothing = ofEach(() => 0);
  return {
    setting: { fingerprint: await pipeline.fingerprint(), device: "multiply-adds", rows, latent_size: latentSize },
    compute,
    keep: compute,
    reuse: nothing,
    reuse2: nothing,
    reuse3: nothing,
    rest: Float64Array.of(0),
    text: Float64Array.of(0),
    network: outline,
  };
}
