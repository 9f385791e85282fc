/** The configs of the DPM-Solvers and UniPC, whose classes share most keys, and what is refused in them. */
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../../errors.js";
import type { PredictionType } from "./predictedOriginal.js";
import { requireOneSpacing, respacingKeys } from "./respacedSigmas.js";
import type { RespacingConfig } from "./respacedSigmas.js";
import {
  fromConfig,
  noiseScheduleKeys,
  rescaleBetasZeroSnr,
  stepsOffset,
  thresholdingKeys,
  timestepSpacing,
} from "./schedulerConfig.js";
import type { SolverName } from "./solver.js";

/** JSON has no −∞, which is the default of lambda_min_clipped; Python writes it as the bare word -Infinity. */
const MINUS_INFINITY = "-Infinity";

/** Keys that all three classes have. */
const sharedKeys = {
  ...noiseScheduleKeys,
  ...thresholdingKeys,
  ...respacingKeys,
  solver_order: z.int().min(1).max(3).default(2),
  prediction_type: z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"]).default("epsilon"),
  use_flow_sigmas: z.boolean().nullable().default(false),
  flow_shift: z.number().nullable().default(1.0),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
  use_dynamic_shifting: z.boolean().default(false),
  time_shift_type: z.enum(["exponential"]).default("exponential"),
};

/** Keys that both DPM-Solvers have. */
const dpmSolverKeys = {
  ...sharedKeys,
  // The last three are names from other multistep solvers, which diffusers reads as midpoint.
  solver_type: z
    .enum(["midpoint", "heun", "logrho", "bh1", "bh2"])
    .default("midpoint")
    .transform((type) => (type === "heun" ? type : "midpoint")),
  lambda_min_clipped: z
    .preprocess(
      (value) => (value === null || value === -Infinity || value === "-inf" ? MINUS_INFINITY : value),
      z.union([z.number(), z.literal(MINUS_INFINITY)]),
    )
    .default(MINUS_INFINITY),
  variance_type: z.string().nullable().default(null),
};

const multistepSchema = z.object({
  ...dpmSolverKeys,
  algorithm_type: z
    .enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++", "deis"])
    .default("dpmsolver++")
    .transform((type) => (type === "deis" ? "dpmsolver++" : type)),
  lower_order_final: z.boolean().default(true),
  euler_at_final: z.boolean().default(false),
  use_lu_lambdas: z.boolean().nullable().default(false),
  timestep_spacing: timestepSpacing.default("linspace"),
  steps_offset: stepsOffset,
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
});

const singlestepSchema = z.object({
  ...dpmSolverKeys,
  algorithm_type: z
    .enum(["dpmsolver", "dpmsolver++", "sde-dpmsolver++", "deis"])
    .default("dpmsolver++")
    .transform((type) => (type === "deis" ? "dpmsolver++" : type)),
  lower_order_final: z.boolean().default(false),
});

const uniPcSchema = z.object({
  ...sharedKeys,
  solver_order: z.int().min(1).default(2),
  predict_x0: z.boolean().default(true),
  // The last three are names from other multistep solvers, which diffusers reads as bh2.
  solver_type: z
    .enum(["bh1", "bh2", "midpoint", "heun", "logrho"])
    .default("bh2")
    .transform((type) => (type === "bh1" ? type : "bh2")),
  lower_order_final: z.boolean().default(true),
  disable_corrector: z.array(z.int()).default([]),
  solver_p: z.null().default(null),
  timestep_spacing: timestepSpacing.default("linspace"),
  steps_offset: stepsOffset,
  rescale_betas_zero_snr: rescaleBetasZeroSnr,
  shift_terminal: z.number().nullable().default(null),
});

/** A resolved config, plain JSON, of what is implemented. */
type Implemented<Config> = Omit<Config, "prediction_type"> & { readonly prediction_type: PredictionType };

export type DpmSolverMultistepConfig = Implemented<z.output<typeof multistepSchema>>;
export type DpmSolverSinglestepConfig = Implemented<z.output<typeof singlestepSchema>>;
export type UniPcConfig = Implemented<z.output<typeof uniPcSchema>>;

type SchedulerConfig = Readonly<Record<string, unknown>>;

/**
 * Resolves a scheduler config as `DPMSolverMultistepScheduler.from_config(schedulerConfig, **overrides)` does.
 *
 * @throws InvalidFileError if a value is one that the class does not take
 * @throws UnsupportedError if the class takes it and this library does not implement it
 */
export function resolveMultistepConfig(
  name: SolverName,
  schedulerConfig: SchedulerConfig,
  overrides: SchedulerConfig = {},
): DpmSolverMultistepConfig {
  const config = implemented(name, fromConfig(multistepSchema, schedulerConfig, overrides));
  refuseLearnedVariance(name, config.variance_type);
  if (config.algorithm_type === "sde-dpmsolver" && config.solver_order === 3) {
    throw unsupported(name, "solver_order", 3, "sde-dpmsolver has orders 1 and 2 only, in diffusers too");
  }
  requireNoiseAtTheEnd(config);
  return config;
}

/** The same for `DPMSolverSinglestepScheduler.from_config(schedulerConfig)`. */
export function resolveSinglestepConfig(name: SolverName, schedulerConfig: SchedulerConfig): DpmSolverSinglestepConfig {
  const config = implemented(name, fromConfig(singlestepSchema, schedulerConfig));
  refuseLearnedVariance(name, config.variance_type);
  if (config.algorithm_type === "dpmsolver" && config.thresholding) {
    throw unsupported(
      name,
      "thresholding",
      true,
      'diffusers fails on it with algorithm_type "dpmsolver"; use dpmsolver++',
    );
  }
  requireNoiseAtTheEnd(config);
  return config;
}

/** The same for `UniPCMultistepScheduler.from_config(schedulerConfig)`. */
export function resolveUniPcConfig(name: SolverName, schedulerConfig: SchedulerConfig): UniPcConfig {
  const config = implemented(name, fromConfig(uniPcSchema, schedulerConfig));
  if (config.use_dynamic_shifting)
    throw unsupported(name, "use_dynamic_shifting", true, "it is for flow matching models");
  if (config.shift_terminal !== null)
    throw unsupported(name, "shift_terminal", config.shift_terminal, "it is for flow matching models");
  if (config.final_sigmas_type === "zero") {
    if (!config.predict_x0) throw zeroEnd("predict_x0 false", "noise prediction divides by the last sigma");
    if (config.solver_type === "bh1") throw zeroEnd('solver_type "bh1"', "its B(h) = h is infinite at the last sigma");
    if (!config.lower_order_final && config.solver_order > 1)
      throw zeroEnd("lower_order_final false", "a last step of higher order divides by the last sigma");
  }
  return config;
}

/** Refuses flow matching, which none of the three has here. */
function implemented<
  Config extends RespacingConfig & {
    readonly use_flow_sigmas: boolean | null;
    readonly prediction_type: PredictionType | "flow_prediction";
  },
>(name: SolverName, config: Config): Implemented<Config> {
  requireOneSpacing(config);
  const { prediction_type } = config;
  if (config.use_flow_sigmas === true)
    throw unsupported(name, "use_flow_sigmas", true, "it is for flow matching models");
  if (prediction_type === "flow_prediction")
    throw unsupported(name, "prediction_type", prediction_type, "epsilon, sample and v_prediction are implemented");
  return { ...config, prediction_type };
}

function refuseLearnedVariance(name: SolverName, varianceType: string | null): void {
  if (varianceType === "learned" || varianceType === "learned_range") {
    throw unsupported(name, "variance_type", varianceType, "networks that also predict a variance are not implemented");
  }
}

function requireNoiseAtTheEnd(config: { readonly algorithm_type: string; readonly final_sigmas_type: string }): void {
  if (!config.algorithm_type.endsWith("++") && config.final_sigmas_type === "zero") {
    throw zeroEnd(`algorithm_type "${config.algorithm_type}"`, "noise prediction divides by the last sigma");
  }
}

function zeroEnd(cause: string, hint: string): InvalidFileError {
  return new InvalidFileError({
    file: "scheduler_config.json",
    field: "final_sigmas_type",
    found: '"zero"',
    expected: `"sigma_min" with ${cause}`,
    hint,
  });
}

function unsupported(name: SolverName, key: string, value: unknown, hint: string): UnsupportedError {
  return new UnsupportedError(
    `scheduler_config.json: ${key}: ${JSON.stringify(value)} is not implemented for ${name} — ${hint}`,
  );
}
