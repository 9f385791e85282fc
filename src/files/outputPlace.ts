/** Where an output goes: what is there under its name decides how it can be written. */
import { constants } from "node:fs";
import { access, open, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ArgumentError } from "../errors.js";
import { release, removeAbandoned, reserveTemporary } from "./temporaries.js";

export type OutputPlace =
  /**
   * a file, or none yet: a temporary one beside it takes its name; `kept` is what it inherits from the one it replaces
   */
  | { readonly kind: "file"; readonly path: string; readonly kept?: Kept }
  /** a file that must stay the same one: it has other names, or its folder cannot be written */
  | { readonly kind: "in-place"; readonly path: string }
  /** a device or a pipe */
  | { readonly kind: "stream"; readonly path: string }
  /** a descriptor that this process was given, such as /dev/stdout */
  | { readonly kind: "descriptor"; readonly path: string; readonly descriptor: number };

/** What a new file inherits from the one that it replaces. */
export interface Kept {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whether the bytes go to a device or a pipe: nothing can be read back from there. */
export function isStream({ kind }: OutputPlace): boolean {
  return kind === "stream" || kind === "descriptor";
}

/** Links in a row; Linux follows no more either. */
const MAX_LINKS = 40;

/**
 * What is there under an output's name, after following links.
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
 * Makes sure, before any work, that an output can be written.
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
    // Only making a file in a folder shows for sure what it allows.
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
 * Makes sure, before any work, that a file can be written after each part of the work, and read again by the call that
 * continues it.
 *
 * @throws ArgumentError where it cannot; also for a device or a pipe, from which nothing is read back
 */
export async function requireResumable(path: string): Promise<void> {
  await requireWritable(path);
  if (isStream(await outputPlace(path)))
    throw refused(path, "a device or a pipe, from which finished work cannot be read again");
}

/**
 * Makes sure, before any work, that files can be written into a folder, which may not exist yet.
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

/** The folder itself, or the nearest existing one above it: the others are made when the output is. */
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
