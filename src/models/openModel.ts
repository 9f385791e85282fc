/** What a model's name stands for: a folder, a model that comes with the library, or an id on the hub. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ArgumentError } from "../errors.js";
import { openModelFolder } from "./folder.js";
import type { ModelFolder } from "./folder.js";
import { parseModelId } from "./hub/modelId.js";
import { fetchSnapshot } from "./hub/snapshot.js";

export interface OpenOptions {
  /** variant of the weights to take where there is one, for example `fp16` */
  readonly variant?: string;
  /** called as files come in from the hub */
  readonly onDownload?: (bytes: number, totalBytes: number) => void;
  /** stops a download; what has come is kept and resumed */
  readonly signal?: AbortSignal;
}

/** The models that come with the library, by name. */
const EMBEDDED_MODELS = fileURLToPath(new URL("../../models/", import.meta.url));

/**
 * Opens a model and checks its configs. A path that exists wins over an embedded model's name, and that over
 * an id.
 *
 * @param model a folder in the diffusers layout, `fluent-ldm`, or an id on the hub: `owner/name`,
 *   `owner/name@revision`
 * @throws ArgumentError for a text that is none of these; HubError where the hub does not give it;
 *   InvalidFileError, UnsupportedError for what is wrong in its files; InterruptedError
 */
export async function openModel(model: string, options: OpenOptions = {}): Promise<ModelFolder> {
  const local = [model, ...(model.includes("/") ? [] : [join(EMBEDDED_MODELS, model)])].find((path) => existsSync(path));
  if (local !== undefined) return openModelFolder(resolve(local), options.variant);
  const id = parseModelId(model);
  if (id === undefined) {
    throw new ArgumentError(`model: expected a diffusers folder, an embedded model's name or an id on the hub (owner/name, owner/name@revision), found "${model}", which is none of them — the embedded model is fluent-ldm`);
  }
  return { ...(await openModelFolder(await fetchSnapshot(id, { ...options, weights: true }), options.variant)), name: model };
}
