/** Downloads one file from the hub into the cache's blobs: resumed where it was cut off, verified, then named. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { ReadableStream } from "node:stream/web";
import { setTimeout as delay } from "node:timers/promises";
import { HubError } from "../../errors.js";
import { writeFully } from "../../files/writeFully.js";
import { codeOf, onDisk } from "./disk.js";
import { bytesSoFar, claim, keepFresh, removeStale } from "./partial.js";
import { SILENCE_MILLISECONDS, anyOf, causeOf } from "./request.js";

/** A file as the hub lists it. */
export interface RemoteFile {
  /** inside the repository, with `/` */
  readonly path: string;
  readonly bytes: number;
  /** the hash that its content must have; also the name of its blob in the cache */
  readonly hash: { readonly algorithm: "sha256" | "git-sha1"; readonly hex: string };
}

export interface DownloadOptions {
  /** where the file is */
  readonly url: string;
  /** see `hubFetch` */
  readonly fetch: typeof fetch;
  /** for messages: the model and the file */
  readonly label: string;
  /** receives how many of the file's bytes are there */
  readonly onBytes: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** How many bytes of a file the disk does not have yet. */
export async function missingBytes(file: RemoteFile, blob: string): Promise<number> {
  return existsSync(blob) ? 0 : Math.max(0, file.bytes - (await bytesSoFar(blob)));
}

/** Seconds to wait after each cut in turn; after a cut that brought new bytes, the list starts over. */
const RETRY_SECONDS = [0.5, 2, 5];
const POLL_MILLISECONDS = 200;

/**
 * Downloads a file to `blob`, or waits for another process that is doing so. `blob` exists only once it is
 * whole and its hash is right; what was loaded before a cut is kept beside it and resumed.
 *
 * @throws HubError
 */
export async function download(file: RemoteFile, blob: string, options: DownloadOptions): Promise<void> {
  while (!existsSync(blob)) {
    const mine = await onDisk(options.label, () => claim(blob));
    if ("elsewhere" in mine) {
      options.onBytes(mine.elsewhere);
      await delay(POLL_MILLISECONDS, undefined, { signal: options.signal });
      continue;
    }
    const release = keepFresh(mine.path);
    try {
      await complete(file, mine.path, options);
      await rename(mine.path, blob);
    } catch (error) {
      // If this process was suspended for long, another one has taken the file over by now.
      if (codeOf(error) !== "ENOENT") throw error;
    } finally {
      await release();
    }
  }
  await removeStale(blob);
}

async function complete(file: RemoteFile, partial: string, options: DownloadOptions): Promise<void> {
  const resumed = (await stat(partial)).size > 0;
  await fill(file, partial, options);
  const found = await hashOf(file, partial, options.signal);
  if (found === file.hash.hex) return;
  await rm(partial, { force: true });
  if (resumed) {
    // The resumed part may have been damaged from an earlier time: try once more, from the start.
    await fill(file, partial, options);
    if ((await hashOf(file, partial, options.signal)) === file.hash.hex) return;
    await rm(partial, { force: true });
  }
  throw new HubError(
    "damaged",
    `${options.label}: expected ${file.hash.algorithm} ${file.hash.hex}, found ${found} — it was damaged on the way, and nothing of it was kept; run again, and check proxies and HF_ENDPOINT`,
  );
}

/** Brings a partial file to its full length, over as many connections as it takes. */
async function fill(file: RemoteFile, partial: string, options: DownloadOptions): Promise<void> {
  const handle = await onDisk(options.label, () => open(partial, existsSync(partial) ? "r+" : "wx+"));
  try {
    let failures = 0;
    for (;;) {
      const { size: before } = await handle.stat();
      if (before > file.bytes) await handle.truncate(0);
      else if (before === file.bytes) break;
      try {
        await transfer(file, handle, options);
      } catch (error) {
        const passing = error instanceof HubError && (error.reason === "cut" || error.reason === "unreachable");
        if (!passing || options.signal?.aborted) throw error;
        failures = (await handle.stat()).size > before ? 1 : failures + 1;
        if (failures > RETRY_SECONDS.length) throw error;
        await delay(1000 * RETRY_SECONDS[failures - 1], undefined, { signal: options.signal });
      }
    }
    await onDisk(options.label, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** Fills the file over one connection, from where the file ends to where the connection ends. */
async function transfer(file: RemoteFile, handle: FileHandle, options: DownloadOptions): Promise<void> {
  let { size: position } = await handle.stat();
  const silence = new AbortController();
  const timer = setTimeout(
    () => silence.abort(new Error(`silent for ${SILENCE_MILLISECONDS / 1000} s`)),
    SILENCE_MILLISECONDS,
  );
  try {
    const response = await options.fetch(options.url, {
      headers: position === 0 ? {} : { range: `bytes=${position}-` },
      signal: anyOf(silence.signal, options.signal),
    });
    if (position > 0 && !response.headers.get("content-range")?.startsWith(`bytes ${position}-`)) {
      // The server starts from the beginning although it was asked not to.
      await handle.truncate(0);
      position = 0;
    }
    for await (const chunk of chunksOf(response, position, file, options)) {
      timer.refresh();
      // With its position: should two processes ever fill the same file, they write the same bytes to the same places.
      await onDisk(options.label, () => writeFully(handle, chunk, position));
      position += chunk.length;
      options.onBytes(position);
    }
  } finally {
    clearTimeout(timer);
  }
}

async function* chunksOf(
  response: Response,
  start: number,
  { bytes }: RemoteFile,
  { label }: DownloadOptions,
): AsyncGenerator<Uint8Array> {
  let position = start;
  try {
    for await (const chunk of (response.body as ReadableStream<Uint8Array> | null) ?? []) {
      position += chunk.length;
      if (position > bytes) break;
      yield chunk;
    }
  } catch (error) {
    throw new HubError(
      "cut",
      `${label}: the connection broke at byte ${position} of ${bytes} (${causeOf(error)}) — run again: it continues from there`,
    );
  }
  if (position > bytes)
    throw new HubError(
      "damaged",
      `${label}: expected ${bytes} bytes, found more — the server does not send the file that the hub lists; check proxies and HF_ENDPOINT`,
    );
  if (position < bytes)
    throw new HubError(
      "cut",
      `${label}: the connection ended at byte ${position} of ${bytes} — run again: it continues from there`,
    );
}

/** Git hashes a file's content behind a header with its length (git-scm.com, "Git Objects"). */
async function hashOf({ bytes, hash }: RemoteFile, path: string, signal: AbortSignal | undefined): Promise<string> {
  const digest = hash.algorithm === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path, { signal })) digest.update(chunk as Buffer);
  return digest.digest("hex");
}
