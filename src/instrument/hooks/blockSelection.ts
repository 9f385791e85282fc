import type { Block } from "../../graphs/block.js";
import { isBlock } from "../../graphs/block.js";
import type { UNet } from "../../graphs/unet.js";
import { ArgumentError } from "../../errors.js";

/** A block, and the spatial transformer that contains it, if any. */
export interface SelectableBlock {
  readonly block: Block;
  readonly inside?: string;
}

/**
 * Every block of a network that can be hooked, in execution order: the layer blocks, and attn1, attn2 and ff inside the
 * transformers.
 */
export function selectableBlocks(unet: UNet): SelectableBlock[] {
  return unet.stages.filter(isBlock).flatMap((block) => {
    const inner = (block.parts ?? []).filter(isBlock).filter((part) => part.id !== block.id);
    return [...inner.map((part) => ({ block: part, inside: block.id })), { block }];
  });
}

/**
 * The blocks that a pattern names: a diffusers module path in which `*` stands for anything inside one
 * path segment, and `**` for anything at all; `all` names every layer block.
 *
 * @throws ArgumentError where it names none
 */
export function selectBlocks(unet: UNet, pattern: string): SelectableBlock[] {
  const candidates = selectableBlocks(unet);
  if (pattern === "all") return candidates.filter(({ inside }) => inside === undefined);
  const named = blockPattern(pattern);
  const selected = candidates.filter(({ block }) => named(block.id));
  if (selected.length === 0) {
    const known = candidates.filter(({ inside }) => inside === undefined).map(({ block }) => block.id);
    throw new ArgumentError(
      `hook "${pattern}": expected the path of a block or a pattern, found no block of that name — there are ${known.join(", ")}, and in the transformers transformer_blocks.*.attn1, .attn2 and .ff`,
    );
  }
  return selected;
}

/** Whether a block's id is one that a pattern names: `*` inside one path segment, `**` across. */
export function blockPattern(pattern: string): (id: string) => boolean {
  const source = pattern
    .split("**")
    .map((piece) =>
      piece
        .split("*")
        .map((text) => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
        .join("[^.]*"),
    )
    .join(".*");
  const expression = new RegExp(`^${source}$`);
  return (id) => expression.test(id);
}
