/** Which files of a component's folder hold its weights: those that diffusers and transformers would read. */
import { join } from "node:path";
import { z } from "zod";
import { InvalidFileError, UnsupportedError } from "../errors.js";
import { validate } from "../files/json.js";

/**
 * What takes precedence where a folder holds both a single file and an index with shards.
 *
 * Source: diffusers 0.42, models/modeling_utils.py, `from_pretrained` (an index wins); transformers 5.23,
 * modeling_utils.py, `_get_resolved_checkpoint_files` (the single file wins).
 */
const FIRST = { diffusion_pytorch_model: "index", model: "single" } as const;

/** The name of a component's weights: for diffusers' components, and for transformers' components. */
export type WeightsName = keyof typeof FIRST;

/** The files that hold a component's weights. */
export interface WeightFiles {
  /** names the shards; absent beside a single file */
  readonly index?: string;
  /** safetensors files; where two of them hold a tensor of the same name, the last is used */
  readonly files: readonly string[];
}

export interface WeightChoice {
  /** variant of the weights to prefer where it exists, for example `fp16` */
  readonly variant?: string;
  /** take no other variant */
  readonly exact?: boolean;
}

const indexSchema = z.object({
  weight_map: z
    .record(z.string(), z.string())
    .refine((map) => Object.keys(map).length > 0, "the shard of at least one tensor"),
});

/**
 * Chooses among a component's files: the variant asked for, else the plain files, else the only variant there is.
 * Shards are those that the index names, whatever else is beside them.
 *
 * @param folder for messages
 * @param present names of the files in it
 * @param readIndex content of one of them
 * @throws InvalidFileError where there are none, or a shard is missing; UnsupportedError for pickled ones
 */
export async function findWeights(
  folder: string,
  present: readonly string[],
  basename: WeightsName,
  readIndex: (name: string) => Promise<unknown>,
  { variant: preferred, exact = false }: WeightChoice = {},
): Promise<WeightFiles> {
  for (const variant of exact ? [preferred] : [preferred, undefined, soleVariant(present, basename)]) {
    const infix = variant === undefined ? "" : `.${variant}`;
    const single = `${basename}${infix}.safetensors`;
    // The second as diffusers named it before 0.31.
    const indices = [`${basename}.safetensors.index${infix}.json`, `${basename}.safetensors${infix}.index.json`];
    const candidates = FIRST[basename] === "index" ? [...indices, single] : [single, ...indices];
    const found = candidates.find((name) => present.includes(name));
    if (found === single) return { files: [single] };
    if (found !== undefined)
      return { index: found, files: shardsOf(folder, present, found, await readIndex(found), single) };
  }
  const pickled = present.find((name) => /\.(bin|ckpt|pt|pth)$/.test(name));
  if (pickled !== undefined) {
    throw new UnsupportedError(
      `${join(folder, pickled)}: weights are pickled Python objects, which run code when they are opened — convert them: DiffusionPipeline.from_pretrained(…).save_pretrained(…, safe_serialization=True)`,
    );
  }
  throw new InvalidFileError({
    file: join(folder, `${basename}.safetensors`),
    found: present.length === 0 ? "an empty or missing folder" : `only ${present.join(", ")}`,
    expected: "weights as safetensors, in one file or in shards with an index",
  });
}

/** The shards that an index names, in order of their names. */
function shardsOf(folder: string, present: readonly string[], index: string, json: unknown, single: string): string[] {
  const file = join(folder, index);
  const { weight_map } = validate(indexSchema, json, { file, hint: "weight_map names the shard of each tensor" });
  const shards = [...new Set(Object.values(weight_map))].sort();
  const elsewhere = shards.find((shard) => /[\\/]/.test(shard) || /^\.*$/.test(shard));
  if (elsewhere !== undefined)
    throw new InvalidFileError({
      file,
      field: "weight_map",
      found: JSON.stringify(elsewhere),
      expected: "the name of a file beside it",
    });
  const missing = shards.filter((shard) => !present.includes(shard));
  if (missing.length > 0)
    throw new InvalidFileError({
      file,
      found: `${shards.length - missing.length} of ${shards.length} shards`,
      expected: "all of them",
      hint: `download the missing ones (${missing.slice(0, 3).join(", ")}${missing.length > 3 ? ", …" : ""})${present.includes(single) ? `, or remove the index: then ${single} beside it is read` : ""}`,
    });
  return shards;
}

/** The only variant there is, if there is exactly one. */
function soleVariant(present: readonly string[], basename: WeightsName): string | undefined {
  const pattern = new RegExp(
    `^${basename}(?:\\.safetensors(?:\\.index)?)?\\.([A-Za-z0-9_]+)(?:\\.index)?\\.(?:safetensors|json)$`,
  );
  const variants = new Set(present.flatMap((name) => pattern.exec(name)?.[1] ?? []));
  variants.delete("safetensors");
  variants.delete("index");
  return variants.size === 1 ? [...variants][0] : undefined;
}
