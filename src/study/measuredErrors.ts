/** Errors of schedules that were sampled already, kept in a file: what a search resumes from. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { z } from "zod";
import { ArgumentError } from "../errors.js";
import { readJson, validate, writeJson } from "../files/json.js";

const schema = z.object({
  format: z.literal("blockcache-search"),
  version: z.literal(1),
  setting: z.string(),
  errors: z.record(z.string(), z.number()),
});

export interface MeasuredErrors {
  /** @param run any JSON that says what was sampled: a schedule's blocks */
  get(run: unknown): number | undefined;
  /** Writes the file, where there is one. */
  set(run: unknown, error: number): Promise<void>;
}

/** `sha256:…` of any JSON. */
export function digestOf(value: unknown): string {
  return `sha256:${createHash("sha256").update(JSON.stringify(value)).digest("hex")}`;
}

/**
 * @param setting a digest of what the errors hang on besides the schedule
 * @throws ArgumentError where the file holds errors of another setting
 */
export async function measuredErrors(file: string | undefined, setting: string): Promise<MeasuredErrors> {
  const errors = new Map<string, number>();
  if (file !== undefined && existsSync(file)) {
    const found = validate(schema, await readJson(file), {
      file,
      hint: "it must be what a search on the cached trajectory wrote",
    });
    if (found.setting !== setting)
      throw new ArgumentError(`${file}: holds a search in another setting — give another file, or delete this one`);
    for (const [key, error] of Object.entries(found.errors)) errors.set(key, error);
  }
  return {
    get: (run) => errors.get(digestOf(run)),
    async set(run, error) {
      errors.set(digestOf(run), error);
      if (file !== undefined)
        await writeJson(file, { format: "blockcache-search", version: 1, setting, errors: Object.fromEntries(errors) });
    },
  };
}
