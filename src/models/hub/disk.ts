/** Turns what goes wrong on the cache's disk into errors that say what to do. */
import { statfs } from "node:fs/promises";
import { HubError } from "../../errors.js";

/** The system's code of an error, where it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/**
 * Runs work in the cache's folder.
 *
 * @param label for messages: the model and the file
 * @throws HubError where the disk is full or may not be written
 */
export async function onDisk<T>(label: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    switch (codeOf(error)) {
      case "ENOSPC":
      case "EDQUOT":
        throw new HubError(
          "disk-full",
          `${label}: the disk of the cache is full — make room, or set HF_HOME to a folder on another disk, and run again: it continues where it stopped`,
        );
      case "EACCES":
      case "EPERM":
      case "EROFS":
        throw new HubError(
          "not-writable",
          `${label}: the cache cannot be written (${error instanceof Error ? error.message : ""}) — change its owner, or set HF_HOME to a folder of your own`,
        );
    }
    throw error;
  }
}

/** Refuses a download that the disk has no room for, before it begins. */
export async function requireRoom(label: string, folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes > free)
    throw new HubError(
      "disk-full",
      `${label}: expected ${mebibytes(bytes)} of free disk in ${folder}, found ${mebibytes(free)} — make room, or set HF_HOME to a folder on another disk`,
    );
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
}
