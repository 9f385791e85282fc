/** Where an output goes: what stands under its name decides how it can be written. */
import { constants } from "node:fs";
import { access, open, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ArgumentError } from "../errors.js";
import { release, removeAbandoned, reserveTemporary } from "./temporaries.js";

export type OutputPlace =
  /** a file, or none yet: a temporary one beside it takes its name; `kept` is what stays of one that is there */
  | { readonly kind: "file"; readonly path: string; readonly kept?: Kept }
  /** a file that must stay the same one: it has other names, or its folder cannot be written */
  | { readonly kind: "in-place"; readonly path: string }
  /** a device or a pipe */
  | { readonly kind: "stream"; readonly path: string }
  /** a descriptor that this process was given, such as /dev/stdout */
  | { readonly kind: "descriptor"; readonly path: string; readonly descriptor: number };

/** Of a file that is replaced. */
export interface Kept {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whether the bytes go to a device or a pipe: nothing can be read back from there. */
export function isStream({ kind }: OutputPlace): boolean {
  return kind === "stream" || kind === "descriptor";
}

/** As many links in a row as Linux follows. */
const MAX_LINKS = 40;

/**
 * What stands under an output's name, links followed.
 *
 * @throws ArgumentError where no file can be written there
 */
export async function outputPlace(path: string): Promise<OutputPlace> {
  if (path === "") throw refused(path, "an empty name");
  if (/[\\/]$/.test(path)) throw refused(path, "the name of a folder");
  try {
    const target = await followLinks(path);
    if (dirname(target) === `/proc/${process.pid}/fd`)
      return { kind: "descriptor", path: target, descriptor: Number(basename(target)) };
    const found = await stat(target).catch(unlessMissing);
    if (found === undefined) {
      await access(await nearestFolder(dirname(target)), constants.W_OK);
      return { kind: "file", path: target };
    }
    if (found.isDirectory()) throw refused(path, "a folder");
    await access(target, constants.W_OK);
    if (!found.isFile()) return { kind: "stream", path: target };
    const isFolderWritable = await access(dirname(target), constants.W_OK).then(
      () => true,
      () => false,
    );
    if (found.nlink > 1 || !isFolderWritable) return { kind: "in-place", path: target };
    return { kind: "file", path: target, kept: { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid } };
  } catch (error) {
    throw error instanceof ArgumentError ? error : refused(path, reasonOf(error));
  }
}

/**
 * Finds out, before any work, that an output can be written.
 *
 * @throws ArgumentError where it cannot
 */
export async function requireWritable(path: string): Promise<void> {
  const place = await outputPlace(path);
  if (place.kind !== "file") return;
  const folder = dirname(place.path);
  try {
    if ((await nearestFolder(folder)) !== folder) return;
    await removeAbandoned(folder);
    // What a folder allows is known for sure when a file is made in it.
    const probe = reserveTemporary(folder, basename(place.path));
    try {
      await (await open(probe, "wx")).close();
    } finally {
      await release(probe);
    }
  } catch (error) {
    throw error instanceof ArgumentError ? error : refused(path, reasonOf(error));
  }
}

/**
 * Finds out, before any work, that a file can be written after each part of it, and read again by the call that goes on.
 *
 * @throws ArgumentError where it cannot; also for a device or a pipe, from which nothing is read back
 */
export async function requireResumable(path: string): Promise<void> {
  await requireWritable(path);
  if (isStream(await outputPlace(path)))
    throw refused(path, "a device or a pipe, from which what was done cannot be read again");
}

/**
 * Finds out, before any work, that files can be written into a folder, which may not be there yet.
 *
 * @throws ArgumentError where they cannot
 */
export async function requireWritableFolder(path: string): Promise<void> {
  const refusedFolder = (found: string): ArgumentError =>
    new ArgumentError(`${path}: expected a folder that can be written, found ${found} — name another`);
  if (path === "") throw refusedFolder("an empty name");
  try {
    await access(await nearestFolder(resolve(path)), constants.W_OK);
  } catch (error) {
    throw refusedFolder(error instanceof ArgumentError ? error.message : reasonOf(error));
  }
}

async function followLinks(path: string): Promise<string> {
  let target = resolve(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    const folder = await realpath(dirname(target)).catch(() => dirname(target));
    target = join(folder, basename(target));
    const isDescriptor = folder === `/proc/${process.pid}/fd`;
    const link = isDescriptor ? undefined : await readlink(target).catch(() => undefined);
    if (link === undefined) return target;
    target = resolve(folder, link);
  }
  throw refused(path, "links that go round in a circle");
}

/** The folder itself, or the nearest one above it that is there: the others are made when the output is. */
async function nearestFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(unlessMissing);
  if (found === undefined) return nearestFolder(dirname(folder));
  if (!found.isDirectory()) throw new ArgumentError(`${folder}: expected a folder, found a file`);
  return folder;
}

function unlessMissing(error: unknown): undefined {
  if (codeOf(error) === "ENOENT") return undefined;
  throw error;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "one that this user may not write",
  EPERM: "one that this user may not write",
  EROFS: "a disk that is read only",
  ENOTDIR: "a file in the place of its folder",
  ENAMETOOLONG: "a name that is too long for this disk",
};

function reasonOf(error: unknown): string {
  const code = codeOf(error);
  return (code && REASONS[code]) ?? (error instanceof Error ? error.message : String(error));
}

function refused(path: string, found: string): ArgumentError {
  return new ArgumentError(
    `${path === "" ? '""' : path}: expected a file that can be written, found ${found} — name another`,
  );
}
