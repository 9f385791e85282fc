import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { ModelFolder } from "./folder.js";

/**
 * Config keys that are read only since the first profiles were written: they count only where set, so that models
 * without them keep their fingerprint.
 */
const LATER_KEYS: readonly string[] = [
  "time_cond_proj_dim",
  "addition_embed_type",
  "addition_time_embed_dim",
  "projection_class_embeddings_input_dim",
];

/**
 * Identifies a denoising network: `sha256:…` of its config with keys in order, and of its weight files
 * in order of name. Profiles and schedules carry it, so that none is used with another model. It reads all weights,
 * which takes seconds per gigabyte.
 *
 * @throws InvalidFileError, UnsupportedError for weights that cannot be opened
 */
export async function fingerprint(folder: ModelFolder): Promise<string> {
  const hash = createHash("sha256");
  const entries = Object.entries(folder.unet).filter(([key, value]) => value !== null || !LATER_KEYS.includes(key));
  hash.update(JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1))));
  const weights = await folder.openUNetWeights();
  await weights.close();
  for (const file of [...weights.files].sort()) {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  }
  return `sha256:${hash.digest("hex")}`;
}
