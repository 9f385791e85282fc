/**
 * Back through a whole cached sampling: from the gradient of a number at the final latents to those at every stand-in.
 * The solver's part is known by its weights, an evaluation's by the blocks' gradient graphs; where a kept C stands in,
 * its gradient goes on at the evaluation that computed it.
 */
import type { NetworkGradients } from "../../engine/network/networkGradients.js";
import { UNET_OUTPUT } from "../../graphs/unet.js";
import type { FloatTensor } from "../../numerics/tensor.js";
import type { SolverWeights } from "./solverWeights.js";
import type { StudentHook } from "./studentHook.js";

/** The value under which the network is given its latents. */
const SAMPLE = "sample";

/**
 * @param first the first evaluation that reuses: no coefficient has a part in those before it
 * @returns for each evaluation from there on, block id → gradient at what stood in for its C
 */
export async function backThroughSampling(
  gradients: NetworkGradients,
  { records, origins }: Pick<StudentHook, "records" | "origins">,
  { given, final }: SolverWeights,
  atFinal: FloatTensor,
  { first, guidanceScale }: { first: number; guidanceScale: number },
): Promise<ReadonlyMap<number, ReadonlyMap<string, FloatTensor>>> {
  /** evaluation → gradient at what guidance made of the network's output */
  const outputs = Array.from(final, (weight) => atFinal.data.map((value) => weight * value));
  /** evaluation → block id → gradient at its C, from the evaluations that reused it */
  const kept = records.map(() => new Map<string, FloatTensor>());
  const found = new Map<number, ReadonlyMap<string, FloatTensor>>();
  for (let index = records.length - 1; index >= first; index--) {
    const record = records[index];
    const { guided, images } = record.evaluation;
    const output = outputs[index];
    const atOutput = guided ? unguided(output, guidanceScale) : output;
    const rows = guided ? 2 * images : images;
    const { values, branches } = await gradients.backward(
      record.recorded(),
      record.values,
      new Map([[UNET_OUTPUT, { dims: [rows, ...atFinal.dims.slice(1)], data: atOutput }]]),
      kept[index],
    );
    found.set(index, branches);
    for (const [block, gradient] of branches) {
      for (const { tensor, weight } of record.standIns.get(block)?.terms ?? []) {
        const origin = origins.get(tensor);
        if (origin === undefined) throw new TypeError(`${block}: stands in by what no evaluation computed`);
        add(kept[origin.evaluation], origin.block, weighted(gradient, weight));
      }
    }
    const atSample = values.get(SAMPLE)?.data;
    if (atSample === undefined) continue;
    // Both halves were given the same latents.
    const length = output.length;
    for (let earlier = first; earlier < index; earlier++) {
      const weight = given[index][earlier];
      for (let place = 0; place < length; place++)
        outputs[earlier][place] += weight * (atSample[place] + (guided ? atSample[length + place] : 0));
    }
  }
  return found;
}

/** The gradient at both halves, the unconditional first, from that at w·conditional + (1 − w)·unconditional. */
function unguided(gradient: Float32Array, w: number): Float32Array {
  const data = new Float32Array(2 * gradient.length);
  data.set(gradient.map((value) => (1 - w) * value));
  data.set(
    gradient.map((value) => w * value),
    gradient.length,
  );
  return data;
}

/** @param weight one number, or one for each channel, or for each row and channel */
function weighted({ dims, data }: FloatTensor, weight: number | Float32Array): FloatTensor {
  const weights = typeof weight === "number" ? [weight] : weight;
  const [rows, channels] = dims;
  const pixels = data.length / (rows * channels);
  const of = (index: number): number => weights[Math.floor(index / pixels) % weights.length];
  return { dims, data: data.map((value, index) => value * of(index)) };
}

function add(gradients: Map<string, FloatTensor>, block: string, { dims, data }: FloatTensor): void {
  const before = gradients.get(block);
  gradients.set(
    block,
    before === undefined ? { dims, data } : { dims, data: data.map((value, index) => value + before.data[index]) },
  );
}
