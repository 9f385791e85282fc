import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../../errors.js";
import { commonSchedulerKeys, fromConfig } from "./schedulerConfig.js";

/** JSON has no −∞, which is the default of lambda_min_clipped; Python writes it as the bare word -Infinity. */
const MINUS_INFINITY = "-Infinity";

/** The keys of diffusers' DPMSolverMultistepScheduler (0.42) and their defaults. */
const dpmSolverConfig = z.object({
  ...commonSchedulerKeys,
  solver_order: z.int().min(1).max(3).default(2),
  prediction_type: z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"]).default("epsilon"),
  algorithm_type: z
    .enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis"])
    .default("dpmsolver++")
    .transform((type) => (type === "deis" ? "dpmsolver++" : type)),
  // The names of other multistep solvers, which diffusers reads as midpoint.
  solver_type: z
    .enum(["midpoint", "heun", "logrho", "bh1", "bh2"])
    .default("midpoint")
    .transform((type) => (type === "heun" ? type : "midpoint")),
  lower_order_final: z.boolean().default(true),
  euler_at_final: z.boolean().default(false),
  use_karras_sigmas: z.boolean().nullable().default(false),
  use_exponential_sigmas: z.boolean().nullable().default(false),
  use_beta_sigmas: z.boolean().nullable().default(false),
  use_lu_lambdas: z.boolean().nullable().default(false),
  use_flow_sigmas: z.boolean().nullable().default(false),
  flow_shift: z.number().nullable().default(1.0),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
  lambda_min_clipped: z
    .preprocess(
      (value) => (value === null || value === -Infinity || value === "-inf" ? MINUS_INFINITY : value),
      z.union([z.number(), z.literal(MINUS_INFINITY)]),
    )
    .default(MINUS_INFINITY),
  variance_type: z.string().nullable().default(null),
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("linspace"),
  use_dynamic_shifting: z.boolean().default(false),
  time_shift_type: z.enum(["exponential"]).default("exponential"),
});

/** A resolved DPM-Solver config, plain JSON. */
export type DpmSolverConfig = z.output<typeof dpmSolverConfig>;

/** Keys of the class that are not implemented, and the value that leaves each of them off. */
const UNSUPPORTED_WHEN_TRUE = ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas"] as const;

/**
 * Resolves a scheduler config as `DPMSolverMultistepScheduler.from_config(schedulerConfig)` does.
 *
 * @throws InvalidFileError if a value is one that the class does not take
 * @throws UnsupportedError if the class takes it and this library does not implement it
 */
export function resolveDpmSolverConfig(schedulerConfig: Readonly<Record<string, unknown>>): DpmSolverConfig {
  const config = fromConfig(dpmSolverConfig, schedulerConfig);
  for (const key of UNSUPPORTED_WHEN_TRUE) {
    if (config[key] === true) throw unsupported(key, true, "set it to false, or use --solver ddim");
  }
  if (config.prediction_type === "flow_prediction") {
    throw unsupported("prediction_type", config.prediction_type, "epsilon, sample and v_prediction are implemented");
  }
  if (config.variance_type === "learned" || config.variance_type === "learned_range") {
    throw unsupported("variance_type", config.variance_type, "networks that also predict a variance are not implemented");
  }
  if (config.algorithm_type === "sde-dpmsolver" && config.solver_order === 3) {
    throw unsupported("solver_order", 3, "sde-dpmsolver has orders 1 and 2 only, in diffusers too");
  }
  if (!config.algorithm_type.endsWith("++") && config.final_sigmas_type === "zero") {
    throw new InvalidFileError({
      file: "scheduler_config.json",
      field: "final_sigmas_type",
      found: '"zero"',
      expected: `"sigma_min" with algorithm_type "${config.algorithm_type}"`,
      hint: "noise prediction divides by the last sigma",
    });
  }
  return config;
}

/** lambda_min_clipped as a number. */
export function lambdaMinClipped(config: DpmSolverConfig): number {
  return Number(config.lambda_min_clipped);
}

function unsupported(key: string, value: unknown, hint: string): UnsupportedError {
  return new UnsupportedError(`scheduler_config.json: ${key}: ${JSON.stringify(value)} is not implemented for dpmsolver++ — ${hint}`);
}
