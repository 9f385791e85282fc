import { Option } from "commander";
import { REUSE_RULES } from "../caching/reuseRule.js";

/** `--reuse linear` */
export function reuseOption(description: string): Option {
  return new Option("--reuse <rule>", description).choices(REUSE_RULES.map(({ name }) => name)).default("hold");
}
