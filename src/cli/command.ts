/** What every command shares: device options, errors as one line, progress on a terminal. */
import { Command, InvalidArgumentError, Option } from "commander";
import { DEVICE_NAMES } from "../engine/devices.js";
import type { DeviceName } from "../engine/devices.js";
import { PRECISIONS } from "../graphs/graphBuilder.js";
import type { Precision } from "../graphs/graphBuilder.js";
import { loadPipeline } from "../diffusion/pipeline.js";
import type { Pipeline } from "../diffusion/pipeline.js";
import { stdoutIsOutput } from "../files/replaceFile.js";
import { checkOutputs } from "./outputs.js";
import { createProgress } from "./progress.js";
import { UsageError } from "./usageError.js";

export { UsageError } from "./usageError.js";

export interface CommonOptions {
  readonly device: DeviceName | "auto";
  readonly precision: Precision;
  readonly tf32?: boolean;
  readonly threads?: number;
  readonly config?: string;
  readonly json?: boolean;
  readonly verbose?: boolean;
}

/** A subcommand with the options that all of them share, and an example at the end of its help. */
export function command(usage: string, description: string, example: string): Command {
  return new Command(usage)
    .description(description)
    .addOption(
      new Option("--device <name>", "where the network runs").choices(["auto", ...DEVICE_NAMES]).default("cpu"),
    )
    .addOption(
      new Option("--precision <type>", "element type of weights and activations; float16 needs a GPU")
        .choices(PRECISIONS)
        .default("float32"),
    )
    .option("--tf32", "on cuda, multiply float32 with 10 bits of mantissa: faster, and about 1e-3 off")
    .option("--threads <n>", "threads inside an operator, on cpu (default: one per core)", positiveInteger)
    .option("--config <model>", "for a model in a single file: a folder or id that has its configs and tokenizer")
    .option("--json", "print the result as JSON, for machines")
    .option("--verbose", "print the stack trace of an error")
    .addHelpText("after", exampleText(example))
    .hook("preAction", (_, called) => checkOutputs(called));
}

/** What is printed below a command's help. */
export function exampleText(example: string): string {
  return `\nExample:\n  ${example}\n`;
}

/** Throws UsageError for options that were given and have no effect without another one. */
export function refuseWithout(command: Command, needed: string, options: readonly string[]): void {
  const stray = options.find((name) => command.getOptionValueSource(name) === "cli");
  if (stray !== undefined) throw new UsageError(`${command.name()}: ${flagOf(stray)} has no effect without ${needed}`);
}

/** Throws UsageError for options that were given and have no effect beside another one. */
export function refuseBeside(command: Command, other: string, options: readonly string[]): void {
  const stray = options.find((name) => command.getOptionValueSource(name) === "cli");
  if (stray !== undefined) throw new UsageError(`${command.name()}: ${flagOf(stray)} has no effect beside ${other}`);
}

/** `--pair-window` from commander's name `pairWindow`. */
function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** "1 block", "2 blocks". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** What every command takes as its model. */
export const MODEL =
  "a folder in the diffusers layout, a Hugging Face id (owner/name, owner/name@revision), a single .safetensors file, or fluent-ldm";

/** Loads a model with progress on a terminal; Ctrl-C stops it, and a download continues from there next time. */
export async function openPipeline(model: string, options: CommonOptions): Promise<Pipeline> {
  const downloading = createProgress("downloading", "MiB");
  const compiling = createProgress("compiling blocks", "blocks");
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  process.once("SIGINT", abort);
  try {
    return await loadPipeline(model, {
      device: options.device,
      precision: options.precision,
      tf32: options.tf32,
      threads: options.threads,
      config: options.config,
      onDownload: (bytes, total) =>
        bytes < total
          ? downloading.update(Math.round(bytes / MEBIBYTE), Math.round(total / MEBIBYTE))
          : downloading.stop(),
      onProgress: compiling.update,
      signal: controller.signal,
    });
  } finally {
    process.removeListener("SIGINT", abort);
    downloading.stop();
    compiling.stop();
  }
}

const MEBIBYTE = 2 ** 20;

/** Bytes for people: `1.5 MiB` */
export function mebibytes(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(1)} MiB`;
}

/**
 * Prints a result: JSON with `--json`, else the lines made for people; on stderr where stdout carries the output
 * itself.
 */
export function print(options: Pick<CommonOptions, "json">, result: unknown, lines: readonly string[]): void {
  const stream = stdoutIsOutput() ? process.stderr : process.stdout;
  stream.write(options.json ? `${JSON.stringify(result)}\n` : `${lines.join("\n")}\n`);
}

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError(`expected an integer of 1 or more, found "${text}".`);
  return value;
}

export function nonNegativeInteger(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError(`expected an integer from 0 to 2^53 − 1, found "${text}".`);
  return value;
}

export function finiteNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`expected a number, found "${text}".`);
  return value;
}

export function integerList(text: string): number[] {
  return text.split(",").map((part) => nonNegativeInteger(part));
}

/** `height,width` */
export function integerPair(text: string): [number, number] {
  const values = integerList(text);
  if (values.length !== 2)
    throw new InvalidArgumentError(`expected two integers separated by a comma, found "${text}".`);
  return [values[0], values[1]];
}

/** `0.8s`, `800ms` or `0.8` as seconds. */
export function seconds(text: string): number {
  const [, amount, unit] = /^(\d*\.?\d+)\s*(s|ms)?$/.exec(text.trim()) ?? [];
  if (amount === undefined || Number(amount) === 0)
    throw new InvalidArgumentError(`expected a time above 0 such as 0.8s or 800ms, found "${text}".`);
  return unit === "ms" ? Number(amount) / 1000 : Number(amount);
}

/** Stops long work at the first Ctrl-C; a second one ends the process as usual. */
export function abortOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort());
  return controller.signal;
}

/** Options of a command that takes an image size. */
export interface SizeOptions {
  readonly height?: number;
  readonly width?: number;
}

/**
 * `--height` and `--width` as a latent size; nothing without them. Throws UsageError where one is missing, or the
 * autoencoder cannot make that size.
 */
export function latentSizeOf(
  { height, width }: SizeOptions,
  { vaeScaleFactor: factor }: Pipeline,
): readonly [height: number, width: number] | undefined {
  if (height === undefined && width === undefined) return undefined;
  if (height === undefined || width === undefined || height % factor !== 0 || width % factor !== 0) {
    throw new UsageError(
      `--height and --width: expected both, as multiples of ${factor}, found ${height ?? "none"} and ${width ?? "none"}`,
    );
  }
  return [height / factor, width / factor];
}
