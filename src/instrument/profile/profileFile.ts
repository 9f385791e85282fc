/**
 * The profile on disk: `*.safetensors` with `<measure>/<block id>` float64 [trajectories, steps], `pair_change/<block
 * id>` [trajectories, steps, window] where asked for, and the setting as JSON in the metadata, so that Python's
 * safetensors and json can read all of it.
 */
import { ArgumentError, InvalidFileError } from "../../errors.js";
import { PRECISIONS } from "../../graphs/graphBuilder.js";
import { validate } from "../../files/json.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import { requireFormat } from "../../files/safetensorsMetadata.js";
import { MEASURES } from "./profile.js";
import type { Measure, Profile } from "./profile.js";
import { z } from "zod";

const FORMAT = "blockcache-profile";
const VERSION = 1;
const PAIR_CHANGE = "pair_change";

/** Keys of the metadata that are plain text; the others are JSON. */
const TEXTS: readonly string[] = ["device", "precision", "library_version"];

const size = z.tuple([z.number().int().positive(), z.number().int().positive()]);

/** What a file says of how it was measured. */
export const settingSchema = z.object({
  model: z.object({ fingerprint: z.string(), name: z.string() }),
  solver: z.string(),
  solver_config: z.record(z.string(), z.unknown()),
  num_inference_steps: z.number().int().positive(),
  timesteps: z.array(z.number()).min(1),
  guidance_scale: z.number(),
  negative_prompt: z.string().nullable(),
  latent_size: size,
});

export const trajectoriesSchema = z.array(z.object({ prompt: z.string(), seed: z.number() })).min(1);

const headSchema = z.object({
  setting: settingSchema,
  device: z.string(),
  precision: z.enum(PRECISIONS),
  library_version: z.string(),
  trajectories: trajectoriesSchema,
  blocks: z.array(
    z.object({
      id: z.string(),
      kind: z.enum([
        "conv_in",
        "conv_out",
        "resnet",
        "transformer",
        "downsampler",
        "upsampler",
        "attn1",
        "attn2",
        "ff",
      ]),
      resolution: size,
    }),
  ),
});

/** Writes a profile; the file is replaced in one go. */
export async function saveProfile(path: string, profile: Profile): Promise<void> {
  const { values, pairs, ...head } = profile;
  const dims = [profile.trajectories.length, profile.setting.timesteps.length];
  const tensors = new Map<string, { dtype: "F64"; dims: number[]; data: Float64Array }>();
  for (const measure of MEASURES) {
    for (const [id, data] of Object.entries(values[measure] ?? {}))
      tensors.set(`${measure}/${id}`, { dtype: "F64", dims, data });
  }
  for (const [id, data] of Object.entries(pairs?.change ?? {}))
    tensors.set(`${PAIR_CHANGE}/${id}`, { dtype: "F64", dims: [...dims, pairs?.window ?? 0], data });
  const metadata = Object.fromEntries(
    Object.entries(head).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  );
  await writeSafetensors(path, tensors, { format: FORMAT, version: String(VERSION), ...metadata });
}

/**
 * Reads a profile.
 *
 * @throws InvalidFileError where the file is not a profile, or is of a version that this library does not know
 */
export async function loadProfile(path: string): Promise<Profile> {
  const file = await openSafetensors(path);
  try {
    requireFormat(file, FORMAT, "`blockcache profile` writes such files");
    const { version } = file.metadata;
    if (version !== String(VERSION))
      throw new InvalidFileError({
        file: path,
        field: "__metadata__.version",
        found: version,
        expected: String(VERSION),
      });
    const head = parseHead(path, file.metadata);
    const values: Partial<Record<Measure, Record<string, Float64Array>>> = {};
    const dims = [head.trajectories.length, head.setting.timesteps.length];
    const pairChange: Record<string, Float64Array> = {};
    const window = [...file.tensors].find(([name]) => splitName(name)[0] === PAIR_CHANGE)?.[1].dims[2];
    for (const [name, tensor] of file.tensors) {
      const [measure, id] = splitName(name);
      const inPairs = measure === PAIR_CHANGE;
      if (!inPairs && !MEASURES.includes(measure as Measure)) continue;
      const expected = inPairs ? [...dims, window] : dims;
      if (
        tensor.dtype !== "F64" ||
        tensor.dims.length !== expected.length ||
        tensor.dims.some((dim, axis) => dim !== expected[axis])
      ) {
        throw new InvalidFileError({
          file: path,
          field: name,
          found: `${tensor.dtype} [${tensor.dims.join(", ")}]`,
          expected: `F64 [${dims.join(", ")}${inPairs ? ", window" : ""}] (trajectories, steps${inPairs ? ", window" : ""})`,
        });
      }
      const data = new Float64Array((await file.readRaw(name)).buffer);
      // A sum with NaN exceeds no threshold: heuristics would silently reuse for ever.
      if (data.some(Number.isNaN))
        throw new InvalidFileError({
          file: path,
          field: name,
          found: "NaN",
          expected: "numbers",
          hint: "the network gave values that are not finite: measure with --precision float32",
        });
      if (inPairs) pairChange[id] = data;
      else (values[measure as Measure] ??= {})[id] = data;
    }
    const missing = head.blocks.find(({ id }) => values.change?.[id] === undefined);
    if (missing)
      throw new InvalidFileError({
        file: path,
        field: `change/${missing.id}`,
        found: "no such tensor",
        expected: "one for each block listed in the metadata",
      });
    if (window === undefined) return { ...head, values };
    const unpaired = head.blocks.find(({ id }) => pairChange[id] === undefined);
    if (unpaired)
      throw new InvalidFileError({
        file: path,
        field: `${PAIR_CHANGE}/${unpaired.id}`,
        found: "no such tensor",
        expected: "one for each block, or none",
      });
    return { ...head, values, pairs: { window, change: pairChange } };
  } finally {
    await file.close();
  }
}

function splitName(name: string): [measure: string, id: string] {
  const slash = name.indexOf("/");
  return [name.slice(0, slash), name.slice(slash + 1)];
}

function parseHead(path: string, metadata: Readonly<Record<string, string>>): z.infer<typeof headSchema> {
  const plain: Record<string, unknown> = {};
  // Any other keys are a user's own, and ignored.
  for (const [key, text] of Object.entries(metadata).filter(([each]) => each in headSchema.shape)) {
    try {
      plain[key] = TEXTS.includes(key) ? text : JSON.parse(text);
    } catch {
      throw new InvalidFileError({
        file: path,
        field: `__metadata__.${key}`,
        found: text.slice(0, 40),
        expected: "JSON",
      });
    }
  }
  return validate(headSchema, plain, { file: path, field: "__metadata__" });
}

/**
 * Joins profiles of the same setting; a trajectory that is in several is kept once.
 *
 * @throws ArgumentError that names the first setting in which they differ, or the precision
 */
export function mergeProfiles(profiles: readonly Profile[]): Profile {
  if (profiles.length === 0) throw new ArgumentError("merge: expected at least one profile, found none");
  const [first, ...others] = profiles;
  for (const other of others) {
    const difference = firstDifference(first, other);
    if (difference !== undefined)
      throw new ArgumentError(`merge: expected profiles of the same setting, found a different ${difference}`);
  }
  const seen = new Set<string>();
  const kept: { profile: Profile; row: number }[] = [];
  for (const profile of profiles) {
    profile.trajectories.forEach((trajectory, row) => {
      const key = JSON.stringify([trajectory.prompt, trajectory.seed]);
      if (seen.has(key)) return;
      seen.add(key);
      kept.push({ profile, row });
    });
  }
  const steps = first.setting.timesteps.length;
  const join = (
    width: number,
    of: (profile: Profile) => Readonly<Record<string, Float64Array>> | undefined,
  ): Record<string, Float64Array> =>
    Object.fromEntries(
      first.blocks.map(({ id }) => {
        const joined = new Float64Array(kept.length * width);
        kept.forEach(({ profile, row }, index) => {
          const source = of(profile)?.[id];
          if (source) joined.set(source.subarray(row * width, (row + 1) * width), index * width);
        });
        return [id, joined];
      }),
    );
  const measures = MEASURES.filter((measure) => profiles.every((profile) => profile.values[measure] !== undefined));
  const { pairs, ...head } = first;
  return {
    ...head,
    ...provenance(profiles),
    trajectories: kept.map(({ profile, row }) => profile.trajectories[row]),
    values: Object.fromEntries(measures.map((measure) => [measure, join(steps, (profile) => profile.values[measure])])),
    ...(pairs === undefined
      ? {}
      : { pairs: { ...pairs, change: join(steps * pairs.window, (profile) => profile.pairs?.change) } }),
  };
}

/**
 * Where the profiles were measured; one without trajectories has not been measured anywhere. Throws ArgumentError where
 * they differ in precision.
 */
function provenance(profiles: readonly Profile[]): Pick<Profile, "device" | "precision"> {
  const begun = profiles.filter(({ trajectories }) => trajectories.length > 0);
  const measured = begun.length === 0 ? profiles : begun;
  const precisions = [...new Set(measured.map(({ precision }) => precision))];
  if (precisions.length > 1)
    throw new ArgumentError(
      `merge: expected profiles of the same setting, found a different precision: ${precisions.join(" and ")}`,
    );
  const device = [...new Set(measured.flatMap((each) => each.device.split(", ")))].join(", ");
  return { device, precision: precisions[0] };
}

function firstDifference(a: Profile, b: Profile): string | undefined {
  for (const key of Object.keys(a.setting) as (keyof Profile["setting"])[]) {
    if (JSON.stringify(a.setting[key]) !== JSON.stringify(b.setting[key]))
      return `${key}: ${JSON.stringify(a.setting[key])} and ${JSON.stringify(b.setting[key])}`;
  }
  const window = ({ pairs }: Profile): string => (pairs === undefined ? "none" : String(pairs.window));
  if (window(a) !== window(b)) return `window of change between pairs of steps: ${window(a)} and ${window(b)}`;
  if (JSON.stringify(a.blocks) !== JSON.stringify(b.blocks)) return "set of blocks";
  return undefined;
}
