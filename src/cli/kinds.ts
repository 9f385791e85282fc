import { Option } from "commander";
import type { BlockKind } from "../graphs/block.js";

/** The kinds of layer block that can be chosen by name. */
const KINDS: readonly BlockKind[] = ["conv_in", "conv_out", "resnet", "transformer", "downsampler", "upsampler"];

/** `--kinds transformer resnet …` */
export function kindsOption(description: string): Option {
  return new Option("--kinds <names...>", description).choices(KINDS);
}
