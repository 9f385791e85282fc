/** What a model's name stands for: a folder, a single file, a model that comes with the library, or an id on the hub. */
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ArgumentError, HubError } from "../errors.js";
import { openModelFolder } from "./folder.js";
import type { ModelFolder } from "./folder.js";
import { parseModelId } from "./hub/modelId.js";
import { fetchSnapshot } from "./hub/snapshot.js";
import { configOf, openSingleFile } from "./singleFile/singleFile.js";

export interface OpenOptions {
  /**
   * For a checkpoint in a single file: a folder or an id that has its configs and its tokenizer. Default, as in
   * diffusers: Stable Diffusion 1.5 or 2.1 on the hub, by the file's text width.
   */
  readonly config?: string;
  /** variant of the weights to prefer where there is one, for example `fp16` */
  readonly variant?: string;
  /** called as files come in from the hub */
  readonly onDownload?: (bytes: number, totalBytes: number) => void;
  /** stops a download; what has arrived is kept and resumed */
  readonly signal?: AbortSignal;
}

/** The models that come with the library, by name. */
export const EMBEDDED_MODELS = fileURLToPath(new URL("../../models", import.meta.url));

/**
 * Opens a model and checks its configs. An existing path takes precedence over an embedded model's name, and that over
 * an id.
 *
 * @param model a folder in the diffusers layout, a checkpoint of Stable Diffusion 1.x or 2.x in a single
 *   .safetensors file, `fluent-ldm`, or an id on the hub: `owner/name`, `owner/name@revision`
 * @throws ArgumentError for text that is none of these; HubError where the hub does not give it;
 *   InvalidFileError, UnsupportedError for what is wrong in its files; InterruptedError
 */
export async function openModel(model: string, options: OpenOptions = {}): Promise<ModelFolder> {
  const isFile = existsSync(model) && statSync(model).isFile();
  if (isFile) return openSingleFile(resolve(model), await configsFor(resolve(model), options));
  if (options.config !== undefined)
    throw new ArgumentError(`config: expected only with a checkpoint in a single file, and ${model} is not one`);
  return locate(model, options, true);
}

/** The model that a single file's configs and tokenizer come from. */
async function configsFor(path: string, options: OpenOptions): Promise<ModelFolder> {
  const usual = await configOf(path);
  if (options.config !== undefined) return locate(options.config, options, false);
  try {
    return await locate(usual, options, false);
  } catch (error) {
    if (!(error instanceof HubError)) throw error;
    throw new HubError(
      error.reason,
      `${path}: a single file has no configs and no tokenizer, and those of ${usual} could not be fetched (${error.message}) — name a folder or an id that has them (config, --config)`,
    );
  }
}

async function locate(model: string, options: OpenOptions, weights: boolean): Promise<ModelFolder> {
  const local = [model, ...(model.includes("/") ? [] : [join(EMBEDDED_MODELS, model)])].find((path) =>
    existsSync(path),
  );
  if (local !== undefined) return openModelFolder(resolve(local), options.variant);
  const id = parseModelId(model);
  if (id === undefined) {
    throw new ArgumentError(
      `model: expected a diffusers folder, a single .safetensors file, an embedded model's name or an id on the hub (owner/name, owner/name@revision), found "${model}", which is none of them — the embedded model is fluent-ldm`,
    );
  }
  return { ...(await openModelFolder(await fetchSnapshot(id, { ...options, weights }), options.variant)), name: model };
}
