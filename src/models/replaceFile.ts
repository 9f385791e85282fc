import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";

/** A name beside a file for what is to take its place. */
export function temporaryName(path: string): string {
  return `${path}.${randomUUID()}.tmp`;
}

/**
 * Replaces a file in one go: `write` fills a temporary file beside it, which then takes its name. Where
 * `write` fails, nothing is left of it and the file is as it was.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = temporaryName(path);
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
