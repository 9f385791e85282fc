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
  token: z.string().regex(/^[\w-]+$/),
  host: z.string(),
  pid: z.number().int(),
  /** when the process began, where the system tells: a later process may have the same number */
  began: z.string().optional(),
  since: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

/** What a lock file says; without a holder it is not written yet, or its writing was cut off. */
interface Lock {
  readonly text: string;
  readonly holder?: Holder;
}

/** Milliseconds within which a lock file is written. */
const SETTLING = 1000;
/** characters of a token that tell it apart in a file's name */
const TOKEN_IN_NAME = 8;
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
      if ((await readLock(path))?.holder?.token === holder.token) await rm(path, { force: true });
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
  const lock = await settled(path);
  const other = lock?.holder;
  if (other !== undefined && (await isWorking(other)))
    throw new InUseError(
      `${file}: process ${other.pid} on ${other.host} has been writing it since ${other.since} — wait for it, or give another file${other.host === holder.host ? "" : `; if that process has ended, delete ${path}`}`,
    );
  if (lock !== undefined) await removeDead(file, path, lock, holder);
  return take(file, path, holder);
}

/**
 * Removes the lock that a process left that died. Only who holds a lock named after that lock may do so: another
 * process that saw the same dead one cannot remove the lock of the one that came first.
 */
async function removeDead(file: string, path: string, dead: Lock, holder: Holder): Promise<void> {
  const claim = `${path}.${dead.holder?.token.slice(0, TOKEN_IN_NAME) ?? "unwritten"}`;
  await take(file, claim, holder);
  try {
    if ((await settled(path))?.text === dead.text) await rm(path);
  } finally {
    await rm(claim, { force: true });
  }
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

/** The lock, once it is written or its writing must have been cut off; undefined where there is none. */
async function settled(path: string): Promise<Lock | undefined> {
  const lock = await readLock(path);
  if (lock === undefined || lock.holder !== undefined) return lock;
  await delay(SETTLING);
  return readLock(path);
}

async function readLock(path: string): Promise<Lock | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new InUseError(
      `${path}: expected a lock that can be read, found that it cannot (${codeOf(error)}) — if no process is writing the file beside it, delete it`,
    );
  }
  try {
    return { text, holder: holderSchema.parse(JSON.parse(text)) };
  } catch {
    return { text };
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
