import { randomUUID } from "node:crypto";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** A name beside a file for what is to take its place; the folder is made where it is missing: what took hours is not lost to a name. */
export async function temporaryBeside(path: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  return `${path}.${randomUUID()}.tmp`;
}

/**
 * Replaces a file in one go: `write` fills a temporary file beside it, which then takes its name. Where
 * `write` fails, nothing is left of it and the file is as it was.
 */
export async function replaceFile(path: string, write: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = await temporaryBeside(path);
  try {
    await write(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
