import { z } from "zod";
import { ArgumentError, InvalidFileError } from "../../errors.js";

/** Keys that both scheduler classes know, with the defaults they share. */
export const commonSchedulerKeys = {
  num_train_timesteps: z.int().min(1).max(1_000_000).default(1000),
  beta_start: z.number().default(0.0001),
  beta_end: z.number().default(0.02),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: z.array(z.number()).nullable().default(null),
  thresholding: z.boolean().default(false),
  dynamic_thresholding_ratio: z.number().min(0).max(1).default(0.995),
  sample_max_value: z.number().default(1.0),
  steps_offset: z.int().default(0),
  rescale_betas_zero_snr: z.boolean().default(false),
};

/**
 * diffusers' `TargetScheduler.from_config(config)`: keys that the target class knows pass
 * over, keys that are absent take the target class's default, and so do keys listed under
 * `_use_default_values`; everything else is ignored.
 *
 * Source: diffusers/configuration_utils.py, `ConfigMixin.extract_init_dict`.
 *
 * @param schema the target class's keys and defaults
 * @param config a scheduler config of any class, as parsed from JSON
 * @throws InvalidFileError naming the first key whose value the target class does not take
 */
export function fromConfig<Schema extends z.ZodObject>(
  schema: Schema,
  config: Readonly<Record<string, unknown>>,
): z.output<Schema> {
  const usedDefaults: unknown = config._use_default_values;
  const defaulted = new Set<unknown>(Array.isArray(usedDefaults) ? usedDefaults : []);
  const passedOver = Object.fromEntries(Object.entries(config).filter(([key]) => !defaulted.has(key)));
  const parsed = schema.safeParse(passedOver);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new InvalidFileError({
    file: "scheduler_config.json",
    field: issue.path.join("."),
    found: JSON.stringify(config[String(issue.path[0])]),
    expected: issue.message,
  });
}

/**
 * A network tells apart only the timesteps it was trained on. diffusers refuses more steps for
 * DDIM, and divides by zero between equal noise levels for DPM-Solver.
 *
 * @throws ArgumentError if there are more steps than training timesteps
 */
export function requireFewerSteps(numInferenceSteps: number, numTrainTimesteps: number): void {
  if (numInferenceSteps > numTrainTimesteps) {
    throw new ArgumentError(`steps: must be at most num_train_timesteps (${numTrainTimesteps}), got ${numInferenceSteps}`);
  }
}
