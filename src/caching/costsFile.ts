/** Costs on disk: `*.safetensors` with `compute/<block id>`, `reuse/<block id>` and `rest`, float64 [samples]. */
import { z } from "zod";
import { InvalidFileError } from "../errors.js";
import { validate } from "../models/json.js";
import { openSafetensors, writeSafetensors } from "../models/safetensors.js";
import type { Costs } from "./costs.js";

const FORMAT = "blockcache-costs";

const settingSchema = z.object({
  fingerprint: z.string(),
  device: z.string(),
  threads: z.number().int().positive().optional(),
  rows: z.number().int().positive(),
  latent_size: z.tuple([z.number().int().positive(), z.number().int().positive()]),
});

/** Writes costs; the file is replaced in one go. */
export async function saveCosts(path: string, { setting, compute, reuse, rest }: Costs): Promise<void> {
  const named = (group: string, values: Costs["compute"]): [string, Float64Array][] => Object.entries(values).map(([id, data]) => [`${group}/${id}`, data]);
  const all: [string, Float64Array][] = [...named("compute", compute), ...named("reuse", reuse), ["rest", rest]];
  const tensors = new Map(all.map(([name, data]) => [name, { dtype: "F64" as const, dims: [data.length], data }]));
  await writeSafetensors(path, tensors, { format: FORMAT, version: "1", setting: JSON.stringify(setting) });
}

/** @throws InvalidFileError where the file is missing, damaged or holds no costs */
export async function loadCosts(path: string): Promise<Costs> {
  const file = await openSafetensors(path);
  try {
    const invalid = (field: string, found: string): InvalidFileError => new InvalidFileError({ file: path, field, found, expected: "what `blockcache costs` writes" });
    if (file.metadata.format !== FORMAT) throw invalid("__metadata__.format", String(file.metadata.format));
    const setting = validate(settingSchema, parseOr(file.metadata.setting), { file: path, field: "__metadata__.setting", hint: "`blockcache costs` writes such files" });
    const read = async (name: string): Promise<Float64Array> => {
      const entry = file.tensors.get(name);
      if (entry?.dtype !== "F64" || entry.dims.length !== 1 || entry.dims[0] < 1) throw invalid(name, entry === undefined ? "no such tensor" : `${entry.dtype} [${entry.dims.join(", ")}]`);
      return new Float64Array((await file.readRaw(name)).slice().buffer);
    };
    const compute: Record<string, Float64Array> = {};
    const reuse: Record<string, Float64Array> = {};
    for (const name of file.tensors.keys()) {
      if (!name.startsWith("compute/")) continue;
      const id = name.slice("compute/".length);
      compute[id] = await read(name);
      reuse[id] = await read(`reuse/${id}`);
    }
    return { setting, compute, reuse, rest: await read("rest") };
  } finally {
    await file.close();
  }
}

function parseOr(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
