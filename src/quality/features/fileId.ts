import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename } from "node:path";

/** `name sha256:…` of the files' contents, one after the other; the name is the path's. */
export async function fileId(path: string, files: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return `${basename(path)} sha256:${hash.digest("hex")}`;
}
