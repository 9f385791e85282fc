import { z } from "zod";
import { validate } from "../../files/json.js";

const schema = z.looseObject({ _class_name: z.string() });

/** scheduler_config.json as it stands; each solver gives it diffusers' `from_config` meaning. */
export type SchedulerConfig = Readonly<Record<string, unknown>> & { readonly _class_name: string };

/** Reads scheduler/scheduler_config.json. Throws InvalidFileError where it names no class. */
export function parseSchedulerConfig(json: unknown, file: string): SchedulerConfig {
  return validate(schema, json, { file, hint: "_class_name is the name of a diffusers scheduler" });
}
