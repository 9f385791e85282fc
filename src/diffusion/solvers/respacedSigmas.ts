/** Noise levels that are spaced directly instead of by timesteps. */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { linspace } from "../timestepSpacing.js";
import { betaQuantile } from "../../numerics/betaQuantile.js";

/**
 * The keys of a scheduler config that space the noise levels. `sigma_min` and `sigma_max` are keys of
 * Euler's and UniPC's classes only, but the others read them too where the config that they are made from
 * has them (diffusers keeps keys that a class does not know as hidden attributes).
 */
export const respacingKeys = {
  use_karras_sigmas: z.boolean().nullable().default(false),
  use_exponential_sigmas: z.boolean().nullable().default(false),
  use_beta_sigmas: z.boolean().nullable().default(false),
  sigma_min: z.number().positive().nullable().default(null),
  sigma_max: z.number().positive().nullable().default(null),
};

const SPACINGS = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"] as const;

/** Resolved {@link respacingKeys}. */
export type RespacingConfig = z.output<z.ZodObject<typeof respacingKeys>>;

/** ρ of Karras et al. 2022. */
const KARRAS_RHO = 7;

/** α = β of "Beta Sampling is All You Need" (arXiv 2407.12173). */
const BETA_SHAPE = 0.6;

/**
 * @throws InvalidFileError if more than one spacing is asked for
 */
export function requireOneSpacing(config: RespacingConfig): void {
  const asked = SPACINGS.filter((key) => config[key] === true);
  if (asked.length > 1) {
    throw new InvalidFileError({
      file: "scheduler_config.json",
      field: asked.join(", "),
      found: "true",
      expected: "at most one of them to be true",
    });
  }
}

/**
 * `count` noise levels from `highest` down to `lowest` (or from sigma_max to sigma_min where the config has
 * them), or undefined where the config leaves the spacing to the timesteps.
 *
 * Source: `_convert_to_karras` (Karras et al. 2022, eq. 5), `_convert_to_exponential` and `_convert_to_beta`
 * of diffusers' schedulers.
 */
export function respacedSigmas(
  config: RespacingConfig,
  range: { readonly highest: number; readonly lowest: number },
  count: number,
): number[] | undefined {
  const highest = config.sigma_max ?? range.highest;
  const lowest = config.sigma_min ?? range.lowest;
  if (config.use_karras_sigmas === true) {
    const start = highest ** (1 / KARRAS_RHO);
    const end = lowest ** (1 / KARRAS_RHO);
    return linspace(0, 1, count).map((position) => (start + position * (end - start)) ** KARRAS_RHO);
  }
  if (config.use_exponential_sigmas === true) return linspace(Math.log(highest), Math.log(lowest), count).map(Math.exp);
  if (config.use_beta_sigmas === true)
    return linspace(0, 1, count).map(
      (position) => lowest + betaQuantile(1 - position, BETA_SHAPE) * (highest - lowest),
    );
  return undefined;
}
