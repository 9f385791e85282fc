/** The numbers that a stand-in is fitted from: one map for each term of adjustment.ts. */
import type { Device } from "../../engine/device.js";
import type { Tensor } from "../../engine/tensor.js";
import { download } from "../../engine/transfer.js";
import type { StandInParts } from "../run/mendedSum.js";
import type { Term } from "./adjustment.js";
import type { Quantity } from "./moments.js";

/** A term's map is zero where it does not exist yet: the change of C before two values were computed. */
export async function regressorsOf(
  device: Device,
  terms: readonly Term[],
  { kept, weights, input }: StandInParts,
): Promise<Quantity[]> {
  const branches = await Promise.all(kept.map(({ branch }) => numbers(device, branch)));
  const [third, second, first] = [undefined, undefined, ...branches].slice(-3);
  const of = async (term: Term): Promise<Quantity> => {
    switch (term) {
      case "scale":
        return standInOf(branches.slice(-weights.length), weights);
      case "change":
        return first && second ? difference(first, second) : 0;
      case "earlier_change":
        return second && third ? difference(second, third) : 0;
      case "input_change": {
        const before = kept[kept.length - 1].input;
        if (input === undefined || before === undefined) return 0;
        return difference(await numbers(device, input), await numbers(device, before));
      }
      case "shift":
        return 1;
    }
  };
  return Promise.all(terms.map(of));
}

export async function numbers(device: Device, tensor: Tensor): Promise<Float32Array> {
  return (await download(device, tensor)).data;
}

function standInOf(values: readonly Float32Array[], weights: readonly number[]): Float32Array {
  if (weights.length === 1 && weights[0] === 1) return values[0];
  return values[0].map((_, index) => values.reduce((sum, value, place) => sum + weights[place] * value[index], 0));
}

export function difference(one: Float32Array, other: Float32Array): Float32Array {
  return one.map((value, index) => value - other[index]);
}

/** What guidance makes of both halves (guidance.ts): w·conditional + (1 − w)·unconditional. */
export function guidedMap(map: Quantity, guidanceScale: number): Quantity {
  if (typeof map === "number") return map;
  const middle = map.length / 2;
  return map
    .subarray(middle)
    .map((conditional, index) => guidanceScale * conditional + (1 - guidanceScale) * map[index]);
}
