import { z } from "zod";
import { validate } from "../../files/json.js";

const schema = z.record(z.string(), z.unknown());

/**
 * scheduler_config.json as it is; each solver reads it as diffusers' `from_config` would. Which class runs is decided
 * by model_index.json, whatever `_class_name` says here.
 */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** Reads scheduler/scheduler_config.json. Throws InvalidFileError where it is not an object. */
export function parseSchedulerConfig(json: unknown, file: string): SchedulerConfig {
  return validate(schema, json, { file, hint: "it holds the settings of a diffusers scheduler by their names" });
}
