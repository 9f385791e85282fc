/** What a study's folder holds beside its jobs and its result. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ArgumentError } from "../errors.js";
import { readJson, writeJson } from "../files/json.js";
import { writeSafetensors } from "../files/safetensors.js";
import type { Trajectory } from "../instrument/profile/profile.js";
import type { FloatTensor } from "../numerics/tensor.js";
import { VERSION } from "../version.js";
import type { StudySetting } from "./setting.js";

/** What wrote the folders that do not say it. */
const FIRST_VERSION = "0.1.0";

/** Writes `setting.json`. Throws ArgumentError where one of another setting or version stands there. */
export async function openFolder(folder: string, setting: StudySetting): Promise<void> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, "setting.json");
  const wanted: Readonly<Record<string, unknown>> = { ...setting, library_version: VERSION };
  if (!existsSync(path)) return writeJson(path, wanted);
  const found: Readonly<Record<string, unknown>> = {
    library_version: FIRST_VERSION,
    ...((await readJson(path)) as object),
  };
  for (const key of new Set([...Object.keys(wanted), ...Object.keys(found)])) {
    if (JSON.stringify(found[key]) === JSON.stringify(wanted[key])) continue;
    throw new ArgumentError(
      `${path}: holds a study with ${key} ${JSON.stringify(found[key])}, and this one has ${JSON.stringify(wanted[key])} — give another folder`,
    );
  }
}

/** Writes `converged.safetensors`: the batches' latents as one tensor. */
export async function writeConverged(
  folder: string,
  batchLatents: readonly FloatTensor[],
  trajectories: readonly Trajectory[],
): Promise<void> {
  const [, ...dims] = batchLatents[0].dims;
  const data = new Float32Array(batchLatents.reduce((sum, each) => sum + each.data.length, 0));
  let offset = 0;
  for (const each of batchLatents) {
    data.set(each.data, offset);
    offset += each.data.length;
  }
  await writeSafetensors(
    join(folder, "converged.safetensors"),
    new Map([["latents", { dtype: "F32", dims: [trajectories.length, ...dims], data }]]),
    {
      trajectories: JSON.stringify(trajectories),
    },
  );
}
