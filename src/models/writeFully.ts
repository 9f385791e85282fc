import type { FileHandle } from "node:fs/promises";

/** Writes all of the bytes at a position: one `write` may take fewer, as on a disk that is nearly full. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
}
