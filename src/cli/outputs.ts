/** Files and folders that a command writes: checked before it does any work. */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import type { Command } from "commander";
import { Option } from "commander";
import { ArgumentError } from "../errors.js";
import { isStream, outputPlace, requireWritable, requireWritableFolder } from "../files/outputPlace.js";
import { EVALUATION_FILE } from "../study/evaluation/evaluationFile.js";
import { STUDY_FILE } from "../study/resultFile.js";
import { UsageError } from "./usageError.js";

/** An option that names an output: its value is checked by {@link checkOutputs}. */
export class OutputOption extends Option {
  /** the endings that say in which format the file is written, in lower case; none for a folder */
  readonly endings: readonly string[];
  /** the format for a device or a pipe, whose name has no ending */
  readonly ofStream: string | undefined;

  constructor(flags: string, description: string, endings: readonly string[], ofStream = soleOf(endings)) {
    super(flags, description);
    this.endings = endings;
    this.ofStream = ofStream;
  }
}

/**
 * `--out <file>` and the like.
 *
 * @param endings the possible formats, such as `.json` and `.csv`; a name must end in one of them, in upper or lower
 *   case. Where there is only one, the name may have no ending
 * @param ofStream the format for a device or a pipe, whose name has no ending. Default: the only one
 */
export function outputFile(
  flags: string,
  description: string,
  endings: readonly string[],
  ofStream?: string,
): OutputOption {
  return new OutputOption(flags, description, endings, ofStream);
}

/** `--out <folder>` */
export function outputFolder(flags: string, description: string): OutputOption {
  return new OutputOption(flags, description, []);
}

/** Options whose values are texts, even where a file happens to have that name. */
const TEXTS: readonly string[] = ["prompt", "negativePrompt"];

/**
 * Checks, before a command runs, that every output can be written in a known format and is neither an input nor another
 * output.
 *
 * @throws UsageError
 */
export async function checkOutputs(command: Command): Promise<void> {
  const valuesOf = (option: Option): string[] => stringsIn(command.getOptionValue(option.attributeName()));
  const outputs = command.options.filter((option) => option instanceof OutputOption);
  const inputs = new Map<string, string>();
  const others = command.options.filter(
    (option) => !(option instanceof OutputOption || TEXTS.includes(option.attributeName())),
  );
  for (const path of [...stringsIn(command.processedArgs), ...others.flatMap(valuesOf)])
    for (const file of inputFiles(path)) inputs.set(identityOf(file), `one that is read (${file})`);

  const taken = new Map<string, string>();
  for (const option of outputs) for (const path of valuesOf(option)) await checkOutput(option, path, inputs, taken);
}

/**
 * @param inputs the files that are read, by identity
 * @param taken the outputs checked before this one, by identity; this one is added
 */
async function checkOutput(
  option: OutputOption,
  path: string,
  inputs: ReadonlyMap<string, string>,
  taken: Map<string, string>,
): Promise<void> {
  const flag = option.long ?? option.flags;
  const refuse = (problem: string): never => {
    throw new UsageError(`${flag}: ${problem}`);
  };
  try {
    const isFolder = option.endings.length === 0;
    const place = isFolder ? undefined : await outputPlace(path);
    const toStream = place !== undefined && isStream(place);
    if (!toStream) {
      const target = place?.path ?? path;
      const identity = identityOf(target);
      const input = inputs.get(identity) ?? modelFile(target);
      const other = input ?? taken.get(identity);
      if (other !== undefined) refuse(`${path}: expected a file of its own, found ${other} — name another`);
      taken.set(identity, `the one of ${flag}`);
    }
    if (isFolder) return await requireWritableFolder(path);
    const ending = extname(basename(path)).toLowerCase();
    const mayLack = toStream ? option.ofStream !== undefined : ending === "" && option.endings.length === 1;
    if (!option.endings.includes(ending) && !mayLack)
      refuse(`expected a name that ends in ${option.endings.join(", ")}, found "${path}"`);
    if (!toStream) await requireWritable(path);
  } catch (error) {
    if (error instanceof ArgumentError && !(error instanceof UsageError)) refuse(error.message);
    throw error;
  }
}

/** The files that a command may read when it is given a path: the file itself, or the result in that folder. */
function inputFiles(path: string): string[] {
  const results = [STUDY_FILE, EVALUATION_FILE].map((name) => join(path, name));
  return existsSync(path) ? [path, ...results].filter((file) => existsSync(file)) : [];
}

/** What the folder of a model holds besides its model_index.json. */
const COMPONENTS: readonly string[] = [
  "scheduler",
  "text_encoder",
  "text_encoder_2",
  "tokenizer",
  "tokenizer_2",
  "unet",
  "vae",
];

/** Says so where a file belongs to a model's folder; undefined for all others. */
function modelFile(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const folder = dirname(path);
  const isIndex = basename(path) === "model_index.json";
  const isPart = COMPONENTS.includes(basename(folder)) && existsSync(join(dirname(folder), "model_index.json"));
  return isIndex || isPart ? "one of a model's" : undefined;
}

/** The same text for the same file, whichever name it is reached by. */
function identityOf(path: string): string {
  if (!existsSync(path)) return path;
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

function soleOf(endings: readonly string[]): string | undefined {
  return endings.length === 1 ? endings[0] : undefined;
}

function stringsIn(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(stringsIn);
  return typeof value === "string" ? [value] : [];
}
