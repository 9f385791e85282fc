import { ArgumentError } from "../errors.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { TorchGenerator, randnTensor } from "../numerics/noise.js";
import type { Generators } from "../numerics/noise.js";

/**
 * The generators of a seed: one for all images, or one each for a list.
 *
 * @throws ArgumentError where a list does not have as many seeds as there are images
 */
export function generatorsOf(seed: number | bigint | readonly (number | bigint)[], images: number): Generators {
  if (typeof seed === "number" || typeof seed === "bigint") return new TorchGenerator(seed);
  if (typeof seed !== "object")
    throw new ArgumentError(`seed: expected an integer, or a list of them, found a ${typeof seed}`);
  if (seed.length !== images)
    throw new ArgumentError(`seed: expected one for each of the ${images} images, found ${seed.length}`);
  return seed.map((each) => new TorchGenerator(each));
}

/**
 * Unit-normal latents of these dims, drawn where none are given.
 *
 * @param dims [images, channels, height, width]
 * @throws ArgumentError where the given ones have other dims
 */
export function startLatents(
  dims: readonly number[],
  given: FloatTensor | undefined,
  generators: Generators,
): FloatTensor {
  if (given === undefined) return randnTensor(dims, generators);
  if (given.dims.length !== 4 || given.dims.some((dim, axis) => dim !== dims[axis])) {
    throw new ArgumentError(
      `latents: expected [${dims.join(", ")}] (one row for each image), found [${given.dims.join(", ")}]`,
    );
  }
  return given;
}
