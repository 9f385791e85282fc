import { randomUUID } from "node:crypto";
import { inspect } from "node:util";
import { inJupyter, writeDisplay } from "../jupyter.js";
import type { MimeBundle } from "../jupyter.js";
import { withWebpPictures } from "../webpPictures.js";
import { bundleOf } from "./views.js";

export interface ShowOptions {
  /** below each picture, in their order */
  readonly captions?: readonly string[];
}

/** An output that can be replaced in place. */
export interface Shown {
  update(value: unknown, options?: ShowOptions): Promise<void>;
}

/**
 * Shows a value in the running cell, as its last line would: figures interactive; schedules, profiles and studies
 * as their chart; pictures, also what `generate` returns or `{ label: picture }`, enlarged without smoothing;
 * tensors as a map a plane; records as a table; `{ html }` as it is; anything else as text. Outside Jupyter a line
 * says what would have been shown.
 */
export async function show(value: unknown, { captions }: ShowOptions = {}): Promise<void> {
  const bundle = await bundleOf(value, captions);
  if (bundle === undefined) console.log(value);
  else await write(bundle, randomUUID(), false);
}

/** Like `show`, and returns a handle whose `update` replaces the output in place. */
export async function display(value: unknown, options: ShowOptions = {}): Promise<Shown> {
  const displayId = randomUUID();
  const draw = async (shown: unknown, { captions }: ShowOptions, isUpdate: boolean): Promise<void> =>
    write((await bundleOf(shown, captions)) ?? { "text/plain": inspect(shown) }, displayId, isUpdate);
  await draw(value, options, false);
  return { update: (next, changed = options) => draw(next, changed, true) };
}

async function write(bundle: MimeBundle, displayId: string, isUpdate: boolean): Promise<void> {
  if (inJupyter()) writeDisplay(await withWebpPictures(bundle), displayId, isUpdate);
  else process.stdout.write(`${String(bundle["text/plain"])}\n`);
}
