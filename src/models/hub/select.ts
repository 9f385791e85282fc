/** Which files of a repository a pipeline is made of. */
import { z } from "zod";
import { InvalidFileError } from "../../errors.js";
import { validate } from "../../files/json.js";
import { findWeights } from "../weightFiles.js";
import type { WeightsName } from "../weightFiles.js";

/** What to fetch. */
export interface Selection {
  /** variant of the weights to prefer where there is one, for example `fp16` */
  readonly variant?: string;
  /** false: only configs and tokenizers */
  readonly weights: boolean;
}

/** The file that says which components a pipeline has. */
export const MODEL_INDEX = "model_index.json";

/**
 * The components that we run, the file that each must have, and the name of its weights. Not the safety checker, nor
 * image encoders.
 */
const COMPONENTS: Readonly<Record<string, { readonly config?: string; readonly weights?: WeightsName }>> = {
  unet: { config: "config.json", weights: "diffusion_pytorch_model" },
  vae: { config: "config.json", weights: "diffusion_pytorch_model" },
  text_encoder: { config: "config.json", weights: "model" },
  text_encoder_2: { config: "config.json", weights: "model" },
  tokenizer: {},
  tokenizer_2: {},
  scheduler: { config: "scheduler_config.json" },
};

const indexSchema = z.record(z.string(), z.unknown());

/**
 * Chooses from a repository's files.
 *
 * @param repository for messages
 * @param present paths with `/`
 * @param read content of one of them, as JSON: of model_index.json, and of the indices of shards
 * @param exact only weights of the variant asked for, and no others instead
 * @throws InvalidFileError where one that is needed is missing; UnsupportedError where weights are pickled
 */
export async function selectFiles(
  repository: string,
  present: readonly string[],
  read: (path: string) => Promise<unknown>,
  { variant, weights }: Selection,
  exact = false,
): Promise<string[]> {
  const components = validate(indexSchema, await read(MODEL_INDEX), { file: `${repository}/${MODEL_INDEX}` });
  const chosen = [MODEL_INDEX];
  for (const [component, { config, weights: basename }] of Object.entries(COMPONENTS)) {
    if (!isPresent(components[component])) continue;
    const folder = `${repository}/${component}`;
    // Anything but a plain name is left out: these names come from outside and become paths.
    const names = present
      .filter((path) => path.startsWith(`${component}/`))
      .map((path) => path.slice(component.length + 1))
      .filter((name) => /^[\w-][\w.-]*$/.test(name));
    if (config !== undefined && !names.includes(config))
      throw new InvalidFileError({
        file: `${folder}/${config}`,
        found: "no such file in the repository",
        expected: `the config of the ${component} that ${MODEL_INDEX} names`,
      });
    const settings =
      basename === undefined
        ? names.filter((name) => /\.(json|txt)$/.test(name))
        : names.filter((name) => name === config);
    chosen.push(...settings.map((name) => `${component}/${name}`));
    if (!weights || basename === undefined) continue;
    const readIndex = (name: string): Promise<unknown> => read(`${component}/${name}`);
    const { index, files } = await findWeights(folder, names, basename, readIndex, { variant, exact });
    chosen.push(...[...(index === undefined ? [] : [index]), ...files].map((name) => `${component}/${name}`));
  }
  return chosen;
}

/**
 * model_index.json lists `[library, class]` for a component that the pipeline has, `[null, null]` for one that it does
 * not have.
 */
function isPresent(component: unknown): boolean {
  return Array.isArray(component) && component.every((part) => typeof part === "string");
}
