/**
 * Adjustments on disk: safetensors with `<term>/<block id>` float32 [evaluations, channels], or
 * [evaluations, 2, channels] where the guidance halves have coefficients of their own (the unconditional first), and
 * everything else as JSON in the metadata.
 */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { validate } from "../../files/json.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import type { SafetensorsFile } from "../../files/safetensors.js";
import { scheduleFields } from "../schedule/checkSchedule.js";
import { TERMS } from "./adjustment.js";
import type { Adjustment, BlockAdjustment, Term } from "./adjustment.js";

const FORMAT = "blockcache-adjustment";
const VERSION = "1";

const error = z.number().nonnegative();

const headSchema = z.object({
  schedule: scheduleFields.omit({ format: true, version: true, blocks: true }).extend({ digest: z.string() }),
  reuse: z.string(),
  halves: z.union([z.literal(1), z.literal(2)]),
  fit: z.looseObject({ method: z.string() }),
  report: z.record(
    z.string(),
    z.array(
      z.object({
        evaluation: z.number().int().nonnegative(),
        ridge: z.number().nonnegative().nullable(),
        before: error,
        fitted: error,
        held_out: error,
      }),
    ),
  ),
  library_version: z.string(),
});

/** Writes an adjustment; the file is replaced in one go. */
export async function saveAdjustment(path: string, { blocks, ...head }: Adjustment): Promise<void> {
  const evaluations = head.schedule.timesteps.length;
  const tensors = new Map<string, { dtype: "F32"; dims: number[]; data: Float32Array }>();
  for (const [id, { channels, terms }] of Object.entries(blocks)) {
    const dims = head.halves === 1 ? [evaluations, channels] : [evaluations, head.halves, channels];
    for (const [term, data] of Object.entries(terms)) tensors.set(`${term}/${id}`, { dtype: "F32", dims, data });
  }
  const metadata = Object.fromEntries(Object.entries(head).map(([key, value]) => [key, JSON.stringify(value)]));
  await writeSafetensors(path, tensors, { format: FORMAT, version: VERSION, ...metadata });
}

/**
 * Reads an adjustment.
 *
 * @throws InvalidFileError where the file is missing, damaged, no adjustment, of a version that this library does not
 *   know, or holds numbers that are not finite
 */
export async function loadAdjustment(path: string): Promise<Adjustment> {
  const file = await openSafetensors(path);
  try {
    const head = headOf(file);
    const evaluations = head.schedule.timesteps.length;
    const blocks: Record<string, { channels: number; terms: Partial<Record<Term, Float32Array>> }> = {};
    for (const [name, { dtype, dims }] of file.tensors) {
      const [term, id] = splitName(path, name);
      const channels = dims[dims.length - 1];
      const expected = head.halves === 1 ? [evaluations, channels] : [evaluations, head.halves, channels];
      const known = blocks[id]?.channels ?? channels;
      if (dtype !== "F32" || dims.join() !== expected.join() || !(channels > 0) || channels !== known)
        throw new InvalidFileError({
          file: path,
          field: name,
          found: `${dtype} [${dims.join(", ")}]`,
          expected: `F32 [${expected.slice(0, -1).join(", ")}, ${channels === known ? "channels" : known}]`,
        });
      const { data } = await file.readFloat32(name);
      if (!data.every(Number.isFinite))
        throw new InvalidFileError({ file: path, field: name, found: "NaN or infinity", expected: "finite numbers" });
      (blocks[id] ??= { channels, terms: {} }).terms[term] = data;
    }
    return { ...head, blocks: blocks satisfies Record<string, BlockAdjustment> };
  } finally {
    await file.close();
  }
}

function splitName(path: string, name: string): [term: Term, id: string] {
  const slash = name.indexOf("/");
  const term = TERMS.find((each) => each === name.slice(0, slash));
  if (term === undefined)
    throw new InvalidFileError({
      file: path,
      field: name,
      found: "another tensor",
      expected: `${TERMS.join("/…, ")}/…`,
    });
  return [term, name.slice(slash + 1)];
}

function headOf({ path, metadata }: SafetensorsFile): z.infer<typeof headSchema> {
  const hint = "`blockcache adjust` writes such files";
  for (const [key, expected] of [
    ["format", FORMAT],
    ["version", VERSION],
  ])
    if (metadata[key] !== expected)
      throw new InvalidFileError({
        file: path,
        field: `__metadata__.${key}`,
        found: JSON.stringify(metadata[key] ?? null),
        expected: `"${expected}"`,
        hint,
      });
  const plain: Record<string, unknown> = {};
  for (const key of Object.keys(headSchema.shape)) {
    try {
      plain[key] = metadata[key] === undefined ? undefined : JSON.parse(metadata[key]);
    } catch {
      throw new InvalidFileError({
        file: path,
        field: `__metadata__.${key}`,
        found: metadata[key].slice(0, 40),
        expected: "JSON",
        hint,
      });
    }
  }
  return validate(headSchema, plain, { file: path, field: "__metadata__", hint });
}
