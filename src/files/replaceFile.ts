/**
 * How every output is written: as a whole, or not at all. A replaced file keeps its mode, its owner and the links to
 * it; devices and pipes get the bytes directly.
 */
import { constants, createReadStream, createWriteStream } from "node:fs";
import { chmod, chown, mkdir, open, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { fullDisk, isFullDisk } from "./fullDisk.js";
import { outputPlace } from "./outputPlace.js";
import type { OutputPlace } from "./outputPlace.js";
import { release, removeAbandoned, reserveTemporary } from "./temporaries.js";

/** An output that is being written. */
export interface Output {
  /** an empty file to fill */
  readonly temporary: string;
  /** Puts it in its place; where that fails, nothing of it is left. */
  commit(): Promise<void>;
  /** Removes what was written; what was there before stays as it was. */
  abandon(): Promise<void>;
}

/**
 * Begins an output; its folder is made where it is missing, so that hours of work are not lost to a mistyped name.
 * Temporary files that killed processes left beside it are removed.
 *
 * @throws ArgumentError where no file can be written there, from `commit` too where the disk is full; the file system's
 *   own error
 */
export async function beginOutput(path: string): Promise<Output> {
  const place = await outputPlace(path);
  const folder = place.kind === "file" ? dirname(place.path) : tmpdir();
  await mkdir(folder, { recursive: true });
  await removeAbandoned(folder);
  const temporary = reserveTemporary(folder, basename(place.path));
  const abandon = (): Promise<void> => release(temporary);
  try {
    await createAs(temporary, place);
  } catch (error) {
    await abandon();
    throw error;
  }
  return {
    temporary,
    abandon,
    async commit() {
      try {
        await put(temporary, place);
      } catch (error) {
        throw isFullDisk(error) ? fullDisk(path) : error;
      } finally {
        await abandon();
      }
    },
  };
}

/**
 * Replaces a file in one go: `write` fills a temporary file, which then takes its place. Where `write` fails, nothing
 * of it is left and the file is as it was.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const output = await beginOutput(path);
  try {
    await write(output.temporary);
  } catch (error) {
    await output.abandon();
    throw isFullDisk(error) ? fullDisk(path) : error;
  }
  await output.commit();
}

let isStdoutTaken = false;

/** Whether an output went to the standard output: messages for people then belong elsewhere. */
export function stdoutIsOutput(): boolean {
  return isStdoutTaken;
}

/** Makes the temporary file, with the mode and the owner of the one that it will replace. */
async function createAs(temporary: string, place: OutputPlace): Promise<void> {
  const kept = place.kind === "file" ? place.kept : undefined;
  // A copy in the shared temporary folder must not be readable by those who may not read its target.
  const handle = await open(temporary, "wx", kept?.mode ?? (place.kind === "file" ? 0o666 : 0o600));
  await handle.close();
  if (kept === undefined) return;
  // Only root can give files away; anybody else's become their own.
  await chown(temporary, kept.uid, kept.gid).catch(() => undefined);
  await chmod(temporary, kept.mode);
}

async function put(temporary: string, place: OutputPlace): Promise<void> {
  if (place.kind === "file") {
    try {
      await rename(temporary, place.path);
      return;
    } catch (error) {
      // A file that is itself a mount point cannot be replaced, only filled.
      if (!(error instanceof Error && "code" in error && error.code === "EBUSY")) throw error;
    }
  }
  const bytes = createReadStream(temporary);
  if (place.kind !== "descriptor") {
    // Not O_CREAT: Linux refuses it for others' files in folders such as /tmp.
    const target = await open(place.path, constants.O_WRONLY | constants.O_TRUNC);
    await pipeline(bytes, target.createWriteStream());
  } else if (place.descriptor === process.stdout.fd) {
    isStdoutTaken = true;
    await pipeline(bytes, process.stdout, { end: false });
  } else {
    await pipeline(bytes, createWriteStream("", { fd: place.descriptor, autoClose: false }));
  }
}
