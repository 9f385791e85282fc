import { Option } from "commander";
import { CACHEABLE_KINDS } from "../caching/heuristics/heuristic.js";
import type { BlockKind } from "../graphs/block.js";
import { UsageError } from "./command.js";

/** The kinds of layer block that can be chosen by name. */
export const KINDS: readonly BlockKind[] = ["conv_in", "conv_out", "resnet", "transformer", "downsampler", "upsampler"];

/** `--kinds transformer resnet …` */
export function kindsOption(description: string): Option {
  return new Option("--kinds <names...>", description).choices(KINDS);
}

/** A set of kinds with its name: `transformer`, `transformer+resnet`, or `all`. Throws UsageError for an unknown one. */
export function kindSetOf(text: string): { readonly label: string; readonly kinds: readonly BlockKind[] } {
  if (text === "all") return { label: "all kinds", kinds: CACHEABLE_KINDS };
  const kinds = text.split("+").map((name) => {
    const kind = KINDS.find((each) => each === name);
    if (kind === undefined)
      throw new UsageError(`--kinds: expected all, or ${KINDS.join(", ")} joined by +, found "${text}"`);
    return kind;
  });
  return { label: kinds.map((kind) => `${kind}s`).join(" + "), kinds };
}
