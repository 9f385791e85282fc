/**
 * The only way out of a cell: tslab's display channel, found without importing tslab, so that the
 * library runs anywhere. What the kernel does stands in notebooks/IN-A-CELL.md.
 */
import { createRequire } from "node:module";

/** MIME type → content: one output, in as many forms as there are readers. */
export type MimeBundle = Readonly<Record<string, unknown>>;

interface DisplayModule {
  readonly lastWriteDisplayData?: (
    output: { data: MimeBundle; metadata: object; transient: { display_id: string } },
    isUpdate: boolean,
  ) => void;
}

const require = createRequire(import.meta.url);
let displayModule: string | undefined;

/** True inside a tslab notebook. */
export function inJupyter(): boolean {
  return "__tslab__" in globalThis;
}

/** Writes an output of the running cell, or replaces the one of the same display id. */
export function writeDisplay(data: MimeBundle, displayId: string, isUpdate: boolean): void {
  displayModule ??= Object.keys(require.cache).find((file) =>
    file.replaceAll("\\", "/").endsWith("tslab/dist/jupyter.js"),
  );
  // Read afresh on each call: tslab exchanges the function from cell to cell.
  const exports =
    displayModule === undefined ? undefined : (require.cache[displayModule]?.exports as DisplayModule | undefined);
  exports?.lastWriteDisplayData?.({ data, metadata: {}, transient: { display_id: displayId } }, isUpdate);
}
