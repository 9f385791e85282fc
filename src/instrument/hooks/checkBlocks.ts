import type { SamplingHook } from "../../diffusion/samplingHook.js";
import { requireFinite } from "../../numerics/finite.js";
import { hook } from "./hooks.js";

/**
 * A hook that finds where NaN and infinity come from: sampling ends at the first block that gives some. It looks at
 * every C in host memory, which takes time. Of a block that reuses nothing is seen: the next one that computes shows it.
 *
 * @throws NotFiniteError during sampling, which names block and evaluation
 */
export function checkBlocks(): SamplingHook {
  return hook(
    "all",
    ({ id, step, branch }) => requireFinite(branch, `${id}, evaluation ${step}`, "the first block that gives such"),
    { results: ["branch"] },
  );
}
