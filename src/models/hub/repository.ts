/**
 * A model's folder in the Hugging Face cache, as huggingface_hub lays it out:
 *
 *     models--owner--name/
 *       blobs/<sha256 or git sha1>                 the files' contents
 *       refs/main                                  the commit that a branch or tag was last seen at
 *       snapshots/<commit>/unet/config.json        → ../../../../blobs/…
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { replaceFile } from "../../files/replaceFile.js";
import { codeOf } from "./disk.js";
import { isCommit } from "./modelId.js";

export class Repository {
  readonly folder: string;

  /** @param name `owner/name` */
  constructor(cacheFolder: string, name: string) {
    this.folder = join(cacheFolder, `models--${name.replaceAll("/", "--")}`);
  }

  blob(hex: string): string {
    return join(this.folder, "blobs", hex);
  }

  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** The commit of a revision, as far as the cache knows it. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const file = join(this.folder, "refs", revision);
    const commit = existsSync(file) ? (await readFile(file, "utf8")).trim() : "";
    return isCommit(commit) ? commit : undefined;
  }

  /** Notes which commit a branch or tag is at. */
  async remember(revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(revision)) === commit) return;
    const file = join(this.folder, "refs", revision);
    await mkdir(dirname(file), { recursive: true });
    await replaceFile(file, (temporary) => writeFile(temporary, commit));
  }

  /** The files of a snapshot whose contents the cache holds, as paths with `/`. */
  async filesOf(commit: string): Promise<string[]> {
    const snapshot = this.snapshot(commit);
    if (!existsSync(snapshot)) return [];
    const entries = await readdir(snapshot, { recursive: true });
    return entries.filter((path) => existsSync(join(snapshot, path))).map((path) => path.replaceAll("\\", "/"));
  }

  async prepare(): Promise<void> {
    await mkdir(join(this.folder, "blobs"), { recursive: true });
  }

  /** Gives a blob its name in a snapshot. */
  async link(blob: string, commit: string, path: string): Promise<void> {
    const pointer = join(this.snapshot(commit), path);
    await mkdir(dirname(pointer), { recursive: true });
    if (existsSync(pointer)) return;
    await rm(pointer, { force: true }); // one whose blob is gone
    try {
      await symlink(relative(dirname(pointer), blob), pointer);
    } catch (error) {
      if (codeOf(error) === "EEXIST") return; // another process was faster
      if (codeOf(error) !== "EPERM") throw error;
      // Windows without the right to make links: the file itself, as huggingface_hub does.
      await rename(blob, pointer);
    }
  }
}
