/** Files that are written beside an output before they take its name, and what killed processes leave of them. */
import { createHash, randomUUID } from "node:crypto";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

/** A longer name, with what is appended to it, might not fit a file system's 255 bytes. */
const MAX_NAME = 60;
/** Of this process's ids, on Linux: containers may share a hostname and a disk, and have ids of their own each. */
const NAMESPACE = "/proc/self/ns/pid";
/** Stands for where process ids mean the same: not on another machine, nor in another container, that shares the disk. */
const HOST = createHash("sha256")
  .update(hostname())
  .update(existsSync(NAMESPACE) ? readlinkSync(NAMESPACE) : "")
  .digest("hex")
  .slice(0, 8);
const PATTERN = /\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp$/;

/** Names that this process is writing to. */
const inUse = new Set<string>();

/** A new name for a temporary file; it counts as in use until {@link release}. */
export function reserveTemporary(folder: string, name: string): string {
  const path = join(folder, `${name.slice(0, MAX_NAME)}.${HOST}-${process.pid}-${randomUUID().slice(0, 8)}.tmp`);
  inUse.add(path);
  return path;
}

/** Ends a reservation, and removes the file if it is still there. */
export async function release(path: string): Promise<void> {
  await rm(path, { force: true });
  inUse.delete(path);
}

/** Removes the temporary files that processes of this machine left in a folder when they were killed. */
export async function removeAbandoned(folder: string): Promise<void> {
  // Where names may not be listed, others must not be removed.
  for (const name of await readdir(folder).catch(() => [])) {
    const [, host, pid] = PATTERN.exec(name) ?? [];
    if (host !== HOST || inUse.has(join(folder, name))) continue;
    // An earlier process may have had this one's id. What another user left stays where only they may remove it.
    if (Number(pid) === process.pid || !isAlive(Number(pid))) await rm(join(folder, name)).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
  // Linux still lists a process that was killed and not yet waited for by its parent.
  const status = `/proc/${pid}/stat`;
  if (!existsSync(status)) return true;
  const state = /\) (\w)/.exec(readFileSync(status, "utf8"))?.[1];
  return state !== "Z" && state !== "X";
}
