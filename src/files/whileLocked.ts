/** Lets one process at a time work on a file. */
import { randomUUID } from "node:crypto";
import { mkdir, open, readFile, realpath, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { ArgumentError, InUseError } from "../errors.js";
import { fullDisk, isFullDisk } from "./fullDisk.js";
import { requireResumable, requireWritable, requireWritableFolder } from "./outputPlace.js";

/** Who holds a lock: what `<file>.lock` says. */
const holderSchema = z.object({
  token: z.string(),
  host: z.string(),
  pid: z.number().int(),
  /** when the process began, where the system tells: a later process may have the same number */
  began: z.string().optional(),
  since: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/**
 * Milliseconds within which a lock file is written, and two processes that take over the same lock notice each other.
 */
const SETTLING = 100;
/** tokens of the locks that this process holds */
const held = new Set<string>();

/**
 * Does work while no other process, nor another call in this one, works on the file: two that both read it, add to it
 * and write it would lose what one of them added. The lock is `<file>.lock` beside it; the lock of a process that died
 * is taken over.
 *
 * @throws InUseError where someone else holds the lock; ArgumentError where the folder cannot be written
 */
export async function whileLocked<Result>(file: string, work: () => Promise<Result>): Promise<Result> {
  // Several names may lead to one file.
  const target = await realpath(file).catch(() => file);
  // A device or a pipe is not read back, so that nothing can be lost.
  if ((await stat(target).catch(() => undefined))?.isFile() === false) return work();
  const path = `${target}.lock`;
  const holder: Holder = {
    token: randomUUID(),
    host: hostname(),
    pid: process.pid,
    began: await beginningOf(process.pid),
    since: new Date().toISOString(),
  };
  held.add(holder.token);
  try {
    await take(file, path, holder);
    try {
      return await work();
    } finally {
      if ((await readHolder(path))?.token === holder.token) await rm(path, { force: true });
    }
  } finally {
    held.delete(holder.token);
  }
}

/**
 * Does work that writes to `file` after each part of it, and goes on from there when it is called again; without a file it
 * is work like any other.
 *
 * @throws ArgumentError where the file cannot be written and read again; InUseError where someone else is writing it
 */
export async function whileKeptIn<Result>(file: string | undefined, work: () => Promise<Result>): Promise<Result> {
  if (file === undefined) return work();
  await requireResumable(file);
  return whileLocked(file, work);
}

/**
 * Does work that fills a folder, which may not be there yet; `file` in it is the result.
 *
 * @throws ArgumentError where files cannot be written there; InUseError where someone else is filling the folder
 */
export async function whileFilling<Result>(folder: string, file: string, work: () => Promise<Result>): Promise<Result> {
  await requireWritableFolder(folder);
  const path = join(folder, file);
  await requireWritable(path);
  return whileLocked(path, work);
}

async function take(file: string, path: string, holder: Holder): Promise<void> {
  if (await create(path, holder)) return;
  const other = await settled(path);
  if (other !== undefined && (await isWorking(other)))
    throw new InUseError(
      `${file}: process ${other.pid} on ${other.host} has been writing it since ${other.since} — wait for it, or give another file${other.host === holder.host ? "" : `; if that process has ended, delete ${path}`}`,
    );
  await rm(path, { force: true });
  const created = await create(path, holder);
  // Another process may have seen the same dead one, and removed the new lock instead of the old one.
  await delay(SETTLING);
  if (created && (await readHolder(path))?.token === holder.token) return;
  return take(file, path, holder);
}

/** Makes the lock; false where there is one already. */
async function create(path: string, holder: Holder): Promise<boolean> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, "wx");
    try {
      await handle.writeFile(JSON.stringify(holder));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    if (isFullDisk(error)) throw fullDisk(path);
    throw new ArgumentError(
      `${path}: expected a folder that can be written, found that it cannot (${codeOf(error)}) — give another file`,
    );
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** The holder, once its lock file is written; undefined where writing it was cut off. */
async function settled(path: string): Promise<Holder | undefined> {
  const holder = await readHolder(path);
  if (holder !== undefined) return holder;
  await delay(SETTLING);
  return readHolder(path);
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return holderSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** Nothing is known about a process on another machine: it may be working. */
async function isWorking({ host, pid, began, token }: Holder): Promise<boolean> {
  if (host !== hostname()) return true;
  if (pid === process.pid) return held.has(token);
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (codeOf(error) !== "EPERM") return false;
  }
  return began === undefined || began === (await beginningOf(pid));
}

/** When a process began, on Linux, in the machine's clock ticks; undefined for one that ended and is still listed. */
async function beginningOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  // After the name, which may hold anything: state, then 18 others, then the time (proc(5)).
  const [state, ...others] = text?.slice(text.lastIndexOf(")") + 2).split(" ") ?? [];
  return state === "Z" ? undefined : others[18];
}
