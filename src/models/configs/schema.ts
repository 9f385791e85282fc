/** What the config schemas share: how a key is read, refused or ignored. */
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../../errors.js";
import { validate } from "../../files/json.js";

export const count = z.number().int().positive();
/** No network is larger: a config that asks for more is damaged, and no memory must be allocated for it. */
const MAX_CHANNELS = 65_536;
const MAX_LAYERS = 512;
export const channels = count.max(MAX_CHANNELS);
export const layers = count.max(MAX_LAYERS);

/** One value for every level, or a list with one per level ({@link atLevel}). */
export function perLevel<T extends z.ZodType>(value: T): z.ZodUnion<[T, z.ZodArray<T>]> {
  return z.union([value, z.array(value).min(1)]);
}

/** A level's value of such a setting. */
export function atLevel<T>(setting: T | readonly T[], level: number): T {
  return Array.isArray(setting) ? (setting as readonly T[])[level] : (setting as T);
}

/**
 * Reads a config: known keys by the schema, `neutral` keys only at a value that changes nothing,
 * and no other key, unless it is empty (null, false, 0), private (`_…`) or listed as harmless.
 *
 * @throws InvalidFileError for a missing or wrong value; UnsupportedError for what is not implemented
 */
export function readConfig<S extends z.ZodObject>(
  file: string,
  json: unknown,
  schema: S,
  neutral: Readonly<Record<string, readonly unknown[]>>,
  harmless: readonly string[],
): z.infer<S> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new InvalidFileError({
      file,
      found: Array.isArray(json) ? "a list" : String(json),
      expected: "a JSON object",
    });
  }
  for (const [key, value] of Object.entries(json)) {
    if (key.startsWith("_") || key in schema.shape || harmless.includes(key)) continue;
    const accepted = neutral[key] ?? [null, false, 0];
    if (!accepted.some((item) => JSON.stringify(item) === JSON.stringify(value))) {
      throw new UnsupportedError(
        `${file}: ${key} = ${JSON.stringify(value)} is not supported (supported: ${accepted.map((item) => JSON.stringify(item)).join(", ")})`,
      );
    }
  }
  return validate(schema, json, { file, hint: "fix the file, or download it again as it was published" });
}

/** A rule between keys. */
export function refuse(file: string, field: string, found: unknown, expected: string): never {
  throw new InvalidFileError({ file, field, found: JSON.stringify(found), expected });
}
