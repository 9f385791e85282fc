/** `--reuse`: one of the library's rules by name, or a user's own by the path of a module. */
import { basename, extname } from "node:path";
import { InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { REUSE_RULES, defineReuseRule, reuseRule } from "../caching/run/reuseRule.js";
import type { ReuseRule } from "../caching/run/reuseRule.js";
import { validate } from "../files/json.js";
import { importModule, isModulePath } from "./userModule.js";

/** What `--reuse` takes, for help texts. */
export const REUSE_NAMES = `${REUSE_RULES.map(({ name }) => name).join(", ")}, or the path of a module whose default export gives the weights (block, kept, wanted) of the kept values`;

/** `--reuse linear`, or `--reuse ./mine.mjs` */
export function reuseOption(description: string): Option {
  return new Option("--reuse <rule>", `${description}: ${REUSE_NAMES}`).argParser(ruleName).default("hold");
}

/** `--reuse hold,./mine.mjs` */
export function reuseListOption(description: string): Option {
  return new Option("--reuse <rules>", `${description}: ${REUSE_NAMES}; separated by commas`)
    .argParser(ruleNames)
    .default(["hold"], "hold");
}

/** Names and paths separated by commas. */
export function ruleNames(text: string): string[] {
  return text.split(",").map((each) => ruleName(each.trim()));
}

function ruleName(text: string): string {
  if (isModulePath(text) || REUSE_RULES.some(({ name }) => name === text)) return text;
  throw new InvalidArgumentError(
    `expected ${REUSE_RULES.map(({ name }) => name).join(", ")} or the path of a module such as ./mine.mjs, found "${text}".`,
  );
}

const moduleSchema = z.object({
  default: z.custom<ReuseRule["weights"]>(
    (value) => typeof value === "function",
    "a function (block, kept, wanted) => weights",
  ),
  history: z.number().int().positive().default(1),
});

/**
 * A rule by its name or by the path of a module: its default export gives the weights, and `history`, how many
 * values are kept (default: 1), may stand beside it. The rule has the file's name, and is known by it in this process.
 */
export async function loadReuseRule(name: string): Promise<ReuseRule> {
  if (!isModulePath(name)) return reuseRule(name);
  const hint = "export default (block, kept, wanted) => weights; export const history = 2";
  const { default: weights, history } = validate(moduleSchema, await importModule(name, hint), { file: name, hint });
  return defineReuseRule({ name: basename(name, extname(name)), history, weights });
}

export async function loadReuseRules(names: readonly string[]): Promise<ReuseRule[]> {
  return Promise.all(names.map(loadReuseRule));
}
