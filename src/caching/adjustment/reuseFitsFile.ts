/**
 * Fits of reuses on disk: safetensors with `scale/<block id>`, `shift/<block id>` float32 [evaluations, window, channels]
 * and `error/<block id>` float64 [evaluations, window]; the setting and the trajectories as JSON in the metadata.
 */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { validate } from "../../files/json.js";
import { openSafetensors, writeSafetensors } from "../../files/safetensors.js";
import type { OutgoingTensor } from "../../files/safetensors.js";
import { parseEntry, requireFormat } from "../../files/safetensorsMetadata.js";
import { settingSchema, trajectoriesSchema } from "../../instrument/profile/profileFile.js";
import type { BlockReuseFits, ReuseFits } from "./reuseFits.js";

const FORMAT = "blockcache-reuse-fits";
const HINT = "`blockcache fit-reuses` writes such files";

const headSchema = z.object({ setting: settingSchema, trajectories: trajectoriesSchema });

/** Writes fits of reuses; the file is replaced in one go. */
export async function saveReuseFits(path: string, { setting, trajectories, window, blocks }: ReuseFits): Promise<void> {
  const cells = [setting.timesteps.length, window];
  const tensors = new Map<string, OutgoingTensor>();
  for (const [id, { channels, scale, shift, error }] of Object.entries(blocks)) {
    tensors.set(`scale/${id}`, { dtype: "F32", dims: [...cells, channels], data: scale });
    tensors.set(`shift/${id}`, { dtype: "F32", dims: [...cells, channels], data: shift });
    tensors.set(`error/${id}`, { dtype: "F64", dims: cells, data: error });
  }
  await writeSafetensors(path, tensors, {
    format: FORMAT,
    version: "1",
    setting: JSON.stringify(setting),
    trajectories: JSON.stringify(trajectories),
  });
}

/**
 * Reads fits of reuses.
 *
 * @throws InvalidFileError where the file is missing, damaged, holds no such fits, or numbers that are not finite
 */
export async function loadReuseFits(path: string): Promise<ReuseFits> {
  const file = await openSafetensors(path);
  try {
    requireFormat(file, FORMAT, HINT);
    const head = validate(
      headSchema,
      { setting: parseEntry(file.metadata.setting), trajectories: parseEntry(file.metadata.trajectories) },
      { file: path, field: "__metadata__", hint: HINT },
    );
    const evaluations = head.setting.timesteps.length;
    const ids = [...file.tensors.keys()].filter((name) => name.startsWith("error/")).map((name) => name.slice(6));
    const window = file.tensors.get(`error/${ids[0]}`)?.dims[1] ?? 0;
    const read = async (name: string, dtype: "F32" | "F64", channels?: number): Promise<ArrayBufferLike> => {
      const entry = file.tensors.get(name);
      const expected = [evaluations, window, ...(channels === undefined ? [] : [channels])];
      if (entry?.dtype !== dtype || entry.dims.join() !== expected.join() || !(window > 0))
        throw new InvalidFileError({
          file: path,
          field: name,
          found: entry === undefined ? "no such tensor" : `${entry.dtype} [${entry.dims.join(", ")}]`,
          expected: `${dtype} [${expected.join(", ")}]`,
          hint: HINT,
        });
      const { buffer } = await file.readRaw(name);
      const values = dtype === "F32" ? new Float32Array(buffer) : new Float64Array(buffer);
      if (!values.every(Number.isFinite))
        throw new InvalidFileError({ file: path, field: name, found: "NaN or infinity", expected: "finite numbers" });
      return buffer;
    };
    const blocks: Record<string, BlockReuseFits> = {};
    for (const id of ids) {
      const channels = file.tensors.get(`scale/${id}`)?.dims[2] ?? 0;
      blocks[id] = {
        channels,
        scale: new Float32Array(await read(`scale/${id}`, "F32", channels)),
        shift: new Float32Array(await read(`shift/${id}`, "F32", channels)),
        error: new Float64Array(await read(`error/${id}`, "F64")),
      };
    }
    return { ...head, window, blocks };
  } finally {
    await file.close();
  }
}
