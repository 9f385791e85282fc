import { ArgumentError } from "../errors.js";
import type { FloatTensor } from "./tensor.js";
import { elementCount } from "./tensor.js";
import { MersenneTwister } from "./mersenneTwister.js";

/** Largest seed that torch.Generator.manual_seed takes. */
const MAX_SEED = 2n ** 64n - 1n;

/** For this many elements or more, torch.randn fills blocks of 16 (ATen/native/cpu/DistributionTemplates.h). */
const BLOCK = 16;
const HALF_BLOCK = BLOCK / 2;

const TWO_PI_FLOAT32 = Math.fround(2 * Math.PI);

/**
 * The random numbers of `torch.Generator("cpu").manual_seed(seed)` for float32 tensors.
 * Uniforms are bit-equal to torch's. Normals are within 5e-7 of torch on a CPU with AVX2 or
 * AVX-512 (measured over 2 million); torch itself differs by 2.4e-6 on older CPUs.
 *
 * Source: ATen/native/cpu/DistributionTemplates.h, ATen/core/DistributionsHelper.h.
 */
export class TorchGenerator {
  private readonly engine: MersenneTwister;
  /** The second normal of a scalar Box-Muller pair, kept for the next scalar call. */
  private waitingNormal: number | undefined;

  /**
   * @param seed integer from 0 to 2^64 − 1. MT19937 uses its low 32 bits only, as torch does.
   * @throws ArgumentError if the seed is not an integer in that range
   */
  constructor(seed: number | bigint) {
    if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
      throw new ArgumentError(`seed: must be an integer, got ${seed} — above 2^53 pass a bigint`);
    }
    const exact = BigInt(seed);
    if (exact < 0n || exact > MAX_SEED) {
      throw new ArgumentError(`seed: must be from 0 to 2^64 - 1, got ${seed}`);
    }
    this.engine = new MersenneTwister(Number(exact & 0xffffffffn));
  }

  /** `torch.rand(dims, generator=g)`: float32 uniforms in [0, 1), 24 random bits each. */
  rand(dims: readonly number[]): FloatTensor {
    const data = new Float32Array(elementCount(dims));
    this.fillUniform(data);
    return { dims: [...dims], data };
  }

  /** `torch.randn(dims, generator=g)`: float32 standard normals. */
  randn(dims: readonly number[]): FloatTensor {
    const data = new Float32Array(elementCount(dims));
    if (data.length >= BLOCK) this.fillNormalBlocks(data);
    else for (let i = 0; i < data.length; i += 1) data[i] = this.scalarNormal();
    return { dims: [...dims], data };
  }

  private fillUniform(data: Float32Array): void {
    for (let i = 0; i < data.length; i += 1) {
      data[i] = (this.engine.uint32() & 0xffffff) / 2 ** 24;
    }
  }

  private fillNormalBlocks(data: Float32Array): void {
    this.fillUniform(data);
    for (let start = 0; start + BLOCK <= data.length; start += BLOCK) {
      boxMullerBlock(data.subarray(start, start + BLOCK));
    }
    if (data.length % BLOCK !== 0) {
      const last = data.subarray(data.length - BLOCK);
      this.fillUniform(last);
      boxMullerBlock(last);
    }
  }

  /** One normal by Box-Muller in float64; every second call returns the pair's other half. */
  private scalarNormal(): number {
    if (this.waitingNormal !== undefined) {
      const normal = this.waitingNormal;
      this.waitingNormal = undefined;
      return normal;
    }
    const angle = 2 * Math.PI * this.uniformDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-this.uniformDouble()));
    this.waitingNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** A float64 uniform in [0, 1) from 53 random bits: the first word is the high one. */
  private uniformDouble(): number {
    const high = this.engine.uint32() & 0x1fffff;
    const low = this.engine.uint32();
    return (high * 2 ** 32 + low) / 2 ** 53;
  }
}

/**
 * Sixteen uniforms become sixteen normals in place: the first half gives the radii and
 * the second the angles. Rounded to float32 where torch rounds, since the error of a
 * rounded angle is larger than 1e-6.
 */
function boxMullerBlock(block: Float32Array): void {
  for (let i = 0; i < HALF_BLOCK; i += 1) {
    const logarithm = Math.fround(Math.log(1 - block[i]));
    const radius = Math.fround(Math.sqrt(-2 * logarithm));
    const angle = Math.fround(TWO_PI_FLOAT32 * block[i + HALF_BLOCK]);
    block[i] = radius * Math.cos(angle);
    block[i + HALF_BLOCK] = radius * Math.sin(angle);
  }
}

/** One generator for the whole batch, or one for each of its images. */
export type Generators = TorchGenerator | readonly TorchGenerator[];

/**
 * Standard normals of shape `dims` as diffusers draws them: a single generator draws the
 * whole batch at once, a list draws row by row (a list of one counts as a single generator).
 *
 * Source: diffusers/utils/torch_utils.py, `randn_tensor`.
 *
 * @param dims shape, batch first
 * @throws ArgumentError if a list does not have one generator per batch row
 */
export function randnTensor(dims: readonly number[], generators: Generators): FloatTensor {
  if (generators instanceof TorchGenerator) return generators.randn(dims);
  if (generators.length === 1) return generators[0].randn(dims);
  const [batch, ...rowDims] = dims;
  if (generators.length !== batch) {
    throw new ArgumentError(
      `generators: need one for each of the ${batch} images or a single one, got ${generators.length}`,
    );
  }
  const rowSize = elementCount(rowDims);
  const data = new Float32Array(batch * rowSize);
  generators.forEach((generator, row) => data.set(generator.randn([1, ...rowDims]).data, row * rowSize));
  return { dims: [...dims], data };
}

/**
 * The generators of a solver that draws noise.
 *
 * @param drawing what draws it, for the message
 * @throws ArgumentError if there are none
 */
export function requireGenerators(generators: Generators | undefined, drawing: string): Generators {
  if (generators === undefined) throw new ArgumentError(`${drawing} draws noise, which needs a generator`);
  return generators;
}
