import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ArgumentError } from "../errors.js";

/** A file of the page, as it is sent. */
export interface PageFile {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".woff2": "font/woff2",
  ".svg": "image/svg+xml",
};

/** dist/web of the package that this module is in, wherever its code was compiled to. */
function builtPage(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && folder !== dirname(folder)) folder = dirname(folder);
  return join(folder, "dist", "web");
}

/**
 * All files of the built page by their path, in memory: what is asked for is looked up and never becomes a path on disk.
 *
 * @throws ArgumentError where the page is not built
 */
export async function pageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const folder = builtPage();
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = new Map<string, PageFile>();
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(folder.length + 1).replaceAll("\\", "/");
    files.set(name, {
      body: Uint8Array.from(await readFile(path)),
      type: TYPES[extname(name)] ?? "application/octet-stream",
    });
  }
  if (!files.has("index.html"))
    throw new ArgumentError(`explore: expected the built page in ${folder}, found none — npm run build`);
  return files;
}
