/**
 * Costs on disk: `*.safetensors` with `<group>/<block id>` (compute, keep, reuse, reuse2, reuse3), `rest` and
 * `text`, float64 [samples]; setting and network as JSON in the metadata.
 */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { validate } from "../../files/json.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import { parseEntry } from "../../files/safetensorsMetadata.js";
import { COST_GROUPS } from "./costs.js";
import type { CostGroup, Costs } from "./costs.js";

const FORMAT = "blockcache-costs";

const settingSchema = z.object({
  fingerprint: z.string(),
  device: z.string(),
  threads: z.number().int().positive().optional(),
  rows: z.number().int().positive(),
  latent_size: z.tuple([z.number().int().positive(), z.number().int().positive()]),
});

const networkSchema = z
  .array(
    z.object({
      id: z.string(),
      reads: z.array(z.string()),
      merge_reads: z.array(z.string()).optional(),
      bytes_per_row: z.number().int().nonnegative(),
    }),
  )
  .min(1);

/** Writes costs; the file is replaced in one go. */
export async function saveCosts(path: string, costs: Costs): Promise<void> {
  const { setting, rest, text, network } = costs;
  const all: [string, Float64Array][] = COST_GROUPS.flatMap((group) =>
    Object.entries(costs[group]).map(([id, data]): [string, Float64Array] => [`${group}/${id}`, data]),
  );
  all.push(["rest", rest], ["text", text]);
  const tensors = new Map(all.map(([name, data]) => [name, { dtype: "F64" as const, dims: [data.length], data }]));
  await writeSafetensors(path, tensors, {
    format: FORMAT,
    version: "1",
    setting: JSON.stringify(setting),
    network: JSON.stringify(network),
  });
}

/** @throws InvalidFileError where the file is missing, damaged or holds no costs */
export async function loadCosts(path: string): Promise<Costs> {
  const file = await openSafetensors(path);
  try {
    const hint = "`blockcache costs` writes such files";
    const invalid = (field: string, found: string): InvalidFileError =>
      new InvalidFileError({ file: path, field, found, expected: "what `blockcache costs` writes" });
    if (file.metadata.format !== FORMAT) throw invalid("__metadata__.format", String(file.metadata.format));
    const setting = validate(settingSchema, parseEntry(file.metadata.setting), {
      file: path,
      field: "__metadata__.setting",
      hint,
    });
    const network = validate(networkSchema, parseEntry(file.metadata.network), {
      file: path,
      field: "__metadata__.network",
      hint,
    });
    const read = async (name: string): Promise<Float64Array> => {
      const entry = file.tensors.get(name);
      if (entry?.dtype !== "F64" || entry.dims.length !== 1 || entry.dims[0] < 1)
        throw invalid(name, entry === undefined ? "no such tensor" : `${entry.dtype} [${entry.dims.join(", ")}]`);
      return new Float64Array((await file.readRaw(name)).buffer);
    };
    const ids = [...file.tensors.keys()]
      .filter((name) => name.startsWith("compute/"))
      .map((name) => name.slice("compute/".length));
    const group = async (name: CostGroup): Promise<Record<string, Float64Array>> =>
      Object.fromEntries(await Promise.all(ids.map(async (id) => [id, await read(`${name}/${id}`)] as const)));
    return {
      setting,
      compute: await group("compute"),
      keep: await group("keep"),
      reuse: await group("reuse"),
      reuse2: await group("reuse2"),
      reuse3: await group("reuse3"),
      rest: await read("rest"),
      text: await read("text"),
      network,
    };
  } finally {
    await file.close();
  }
}
