import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../src/files/replaceFile.js";

const RESULTS = join("bench", "results");

/** Writes what a bench printed, or its raw values, into bench/results. */
export async function writeResult(name: string, text: string): Promise<void> {
  await mkdir(RESULTS, { recursive: true });
  await replaceFile(join(RESULTS, name), (temporary) => writeFile(temporary, text));
}
