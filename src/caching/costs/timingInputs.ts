import { emptyConditions } from "../../diffusion/conditioning.js";
import type { Pipeline } from "../../diffusion/pipeline.js";
import { elementCount } from "../../numerics/tensor.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { NetworkConditions } from "../../engine/network/unetInputs.js";

/** Inputs, without the timestep, for an evaluation that is only timed: numbers of ordinary size, and empty prompts. */
export async function timingInputs(
  pipeline: Pipeline,
  rows: number,
  latentSize: readonly [height: number, width: number],
): Promise<NetworkConditions & { readonly sample: FloatTensor }> {
  const dims = [rows, pipeline.network.unet.config.in_channels, ...latentSize];
  const data = Float32Array.from({ length: elementCount(dims) }, (_, index) => Math.sin(index));
  return { sample: { dims, data }, ...(await emptyConditions(pipeline, rows, latentSize)) };
}
