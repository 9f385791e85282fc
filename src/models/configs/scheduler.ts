import { z } from "zod";
import { InvalidFileError } from "../../errors.js";

const schema = z.looseObject({ _class_name: z.string() });

/** scheduler_config.json as it stands; each solver gives it diffusers' `from_config` meaning. */
export type SchedulerConfig = Readonly<Record<string, unknown>> & { readonly _class_name: string };

/** Reads scheduler/scheduler_config.json. Throws InvalidFileError where it names no class. */
export function parseSchedulerConfig(json: unknown, file: string): SchedulerConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new InvalidFileError({ file, field: "_class_name", found: "no such string", expected: "the name of a diffusers scheduler" });
  return parsed.data;
}
