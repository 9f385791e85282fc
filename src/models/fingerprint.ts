import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { ModelFolder } from "./folder.js";

/**
 * Identifies a denoising network: `sha256:…` of its config with keys in order, and of its weight files
 * in order of name. Profiles and schedules carry it, so that none is used with another model.
 */
export async function fingerprint(folder: ModelFolder): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify(Object.entries(folder.unet).sort(([a], [b]) => (a < b ? -1 : 1))));
  const weights = await folder.openUNetWeights();
  await weights.close();
  for (const file of [...weights.files].sort()) {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  }
  return `sha256:${hash.digest("hex")}`;
}
