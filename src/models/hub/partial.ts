/**
 * A file on its way into the cache: `<blob>.<8 hex digits>.incomplete`, as huggingface_hub names it too.
 *
 * Node has no file locks, so the partial file is its own lock: whoever fills it keeps its modification time fresh, and
 * others wait. A file that is no longer fresh was left behind by a process that failed or died; the next process takes
 * it over by renaming it, which only one can do, and continues where it ends.
 */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** After this long without a sign of life a partial file may be taken over. */
const STALE_MILLISECONDS = 15_000;
const HEARTBEAT_MILLISECONDS = 5_000;

interface Partial {
  readonly path: string;
  readonly bytes: number;
  readonly born: number;
  readonly fresh: boolean;
}

/** Either the partial file that is now ours, or how many bytes another process has. */
export type Claim = { readonly path: string } | { readonly elsewhere: number };

/** Takes on a blob's download, unless another process is working on it. */
export async function claim(blob: string): Promise<Claim> {
  const found = await partialsOf(blob);
  const working = found.find(({ fresh }) => fresh);
  if (working !== undefined) return { elsewhere: working.bytes };
  const path = `${blob}.${randomUUID().slice(0, 8)}.incomplete`;
  const [largest] = found.sort((a, b) => b.bytes - a.bytes);
  if (largest === undefined) await writeFile(path, "", { flag: "wx" });
  else if (!(await takeOver(largest.path, path))) return { elsewhere: largest.bytes };
  // If two processes began at the same moment, the first one goes on.
  const [first] = (await partialsOf(blob))
    .filter(({ fresh }) => fresh)
    .sort((a, b) => a.born - b.born || (a.path < b.path ? -1 : 1));
  if (first === undefined || first.path === path) return { path };
  await rm(path, { force: true });
  return { elsewhere: first.bytes };
}

/**
 * Shows others that the file is being filled; calling the result ends that, and lets the next process continue at once
 * with what there is.
 */
export function keepFresh(path: string): () => Promise<void> {
  const timer = setInterval(() => void touch(path, new Date()), HEARTBEAT_MILLISECONDS);
  return async () => {
    clearInterval(timer);
    if (!existsSync(path)) return;
    if ((await stat(path)).size === 0) await rm(path, { force: true });
    else await touch(path, new Date(0));
  };
}

/** Bytes that the next download of a blob does not have to fetch. */
export async function bytesSoFar(blob: string): Promise<number> {
  return Math.max(0, ...(await partialsOf(blob)).map(({ bytes }) => bytes));
}

/** Removes what dead processes left of a blob that is now whole. */
export async function removeStale(blob: string): Promise<void> {
  for (const { path, fresh } of await partialsOf(blob)) if (!fresh) await rm(path, { force: true });
}

async function partialsOf(blob: string): Promise<Partial[]> {
  const folder = dirname(blob);
  const names = (await readdir(folder)).filter(
    (name) => name.startsWith(`${basename(blob)}.`) && name.endsWith(".incomplete"),
  );
  const found = await Promise.all(
    names.map(async (name): Promise<Partial[]> => {
      const path = join(folder, name);
      try {
        const { size, birthtimeMs, mtimeMs } = await stat(path);
        return [{ path, bytes: size, born: birthtimeMs, fresh: Date.now() - mtimeMs < STALE_MILLISECONDS }];
      } catch {
        return []; // finished or taken over since the listing
      }
    }),
  );
  return found.flat();
}

/** It is touched before it is renamed, so that nobody ever sees it stale under its new name. */
async function takeOver(from: string, to: string): Promise<boolean> {
  if (!(await touch(from, new Date()))) return false;
  try {
    await rename(from, to);
    return true;
  } catch {
    return false;
  }
}

async function touch(path: string, time: Date): Promise<boolean> {
  try {
    await utimes(path, time, time);
    return true;
  } catch {
    return false;
  }
}
