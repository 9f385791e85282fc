import { z } from "zod";
import { ArgumentError, InvalidFileError } from "../../errors.js";
import { schemaProblem } from "../../files/schemaProblem.js";

/** Keys of the forward process, which all scheduler classes know. */
export const noiseScheduleKeys = {
  num_train_timesteps: z.int().min(1).max(1_000_000).default(1000),
  beta_start: z.number().default(0.0001),
  beta_end: z.number().default(0.02),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: z.array(z.number()).nullable().default(null),
};

/** Keys that place the timesteps; the default spacing differs between classes. */
export const timestepSpacing = z.enum(["linspace", "leading", "trailing"]);
export const stepsOffset = z.int().default(0);

export const rescaleBetasZeroSnr = z.boolean().default(false);

/** Keys that keep the predicted original within range. */
export const thresholdingKeys = {
  thresholding: z.boolean().default(false),
  dynamic_thresholding_ratio: z.number().min(0).max(1).default(0.995),
  sample_max_value: z.number().default(1.0),
};

/**
 * diffusers' `TargetScheduler.from_config(config, **overrides)`: keys that the target class knows are carried over,
 * keys that are absent take the target class's default, and so do keys listed under `_use_default_values`; everything
 * else is ignored.
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
  overrides: Readonly<Record<string, unknown>> = {},
): z.output<Schema> {
  const usedDefaults: unknown = config._use_default_values;
  const defaulted = new Set<unknown>(Array.isArray(usedDefaults) ? usedDefaults : []);
  const passedOver = {
    ...Object.fromEntries(Object.entries(config).filter(([key]) => !defaulted.has(key))),
    ...overrides,
  };
  const parsed = schema.safeParse(passedOver);
  if (parsed.success) return parsed.data;
  throw new InvalidFileError({
    file: "scheduler_config.json",
    ...schemaProblem(parsed.error, passedOver),
    hint: "fix the model's file, or give another value (--scheduler-config on the command line)",
  });
}

/**
 * A network tells apart only the timesteps it was trained on. diffusers refuses more steps for
 * DDIM, and divides by zero between equal noise levels for the others.
 *
 * @throws ArgumentError if there are more steps than training timesteps
 */
export function requireFewerSteps(numInferenceSteps: number, numTrainTimesteps: number): void {
  if (numInferenceSteps > numTrainTimesteps) {
    throw new ArgumentError(
      `steps: must be at most num_train_timesteps (${numTrainTimesteps}), got ${numInferenceSteps}`,
    );
  }
}

/**
 * Solvers that look ᾱ up at each timestep find none beyond the training timesteps.
 *
 * @throws ArgumentError if steps_offset moves the first timestep beyond the last training timestep
 */
export function requireTrainedTimesteps(
  timesteps: readonly number[],
  config: { readonly num_train_timesteps: number; readonly steps_offset: number },
): void {
  const last = config.num_train_timesteps - 1;
  if (timesteps[0] > last) {
    throw new ArgumentError(
      `steps: with steps_offset ${config.steps_offset} the first of ${timesteps.length} timesteps is ${timesteps[0]}, ` +
        `beyond the last training timestep ${last} — ask for fewer steps`,
    );
  }
}

/**
 * Between equal noise levels there is no step, and the multistep solvers divide by its length. Equal timesteps at
 * different levels do no harm: as in diffusers' SDXL pipelines, a run counts its levels from 0. (Its SD pipeline looks
 * up its position by the first timestep, and fails where that is there twice.)
 *
 * @param sigmas one per network evaluation, and the one at the end
 * @throws ArgumentError if the first two evaluations are at one level
 */
export function requireDistinctLevels(sigmas: Float32Array): void {
  if (sigmas.length > 2 && sigmas[0] === sigmas[1]) {
    throw new ArgumentError(
      `steps: ${sigmas.length - 1} steps begin with the noise level ${sigmas[0]} twice — ask for fewer steps`,
    );
  }
}

/**
 * @throws ArgumentError if the network predicts noise and the first timestep is nothing but noise
 */
export function requireSignal(predictionType: string, alphaCumprod: number, timestep: number): void {
  if (predictionType === "epsilon" && alphaCumprod === 0) {
    throw new ArgumentError(
      `rescale_betas_zero_snr: no original can be predicted from noise at timestep ${timestep}, where no signal is left — ` +
        "use leading timestep_spacing, or dpmsolver++",
    );
  }
}
