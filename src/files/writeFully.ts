import type { FileHandle } from "node:fs/promises";

/** Node 20 aborts when asked to read or write 2 GiB or more at once. */
export const MAX_BYTES_AT_ONCE = 2 ** 30;

/** Writes all of the bytes at a position: one `write` may take fewer, as on a disk that is nearly full. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length)
    done += (await handle.write(bytes, done, Math.min(bytes.length - done, MAX_BYTES_AT_ONCE), position + done))
      .bytesWritten;
}
