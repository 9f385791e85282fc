import { z } from "zod";
import { validate } from "../../files/json.js";

const schema = z.record(z.string(), z.unknown());

/**
 * scheduler_config.json as it stands; each solver gives it diffusers' `from_config` meaning. Which class runs is
 * said by model_index.json, whatever stands here under `_class_name`.
 */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** Reads scheduler/scheduler_config.json. Throws InvalidFileError where it is no object. */
export function parseSchedulerConfig(json: unknown, file: string): SchedulerConfig {
  return validate(schema, json, { file, hint: "it holds the settings of a diffusers scheduler by their names" });
}
