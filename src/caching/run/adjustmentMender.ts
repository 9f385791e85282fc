import type { Block } from "../../graphs/block.js";
import { coefficientsAt, historyOf, termsOf } from "../adjustment/adjustment.js";
import type { Adjustment, Term } from "../adjustment/adjustment.js";
import type { Mending } from "./executionPlan.js";
import { ArgumentError } from "../../errors.js";
import { followsInput } from "./mendedSum.js";
import type { Coefficients, Mender } from "./mendedSum.js";

/** Corrects stand-ins by an adjustment: a finished one, or one that is still being fitted while the run goes on. */
export function adjustmentMender(
  { blocks, halves }: Pick<Adjustment, "blocks" | "halves">,
  terms: readonly Term[],
): Mender {
  return {
    terms,
    async coefficients({ id, channels }, { index }) {
      const block = blocks[id];
      if (block === undefined) return undefined;
      if (block.channels !== channels)
        throw new ArgumentError(
          `adjustment: ${id}: fitted for ${block.channels} channels, and the model's has ${channels} — fit one for this model with \`blockcache adjust\``,
        );
      const found: Record<string, Float32Array> = {};
      for (const term of terms) {
        const values = coefficientsAt(block, term, index, halves);
        if (values !== undefined) found[term] = values;
      }
      return Object.keys(found).length === 0 ? undefined : (found satisfies Coefficients);
    },
  };
}

/** The blocks whose input an adjustment by its change keeps. */
export function followingBlocks(network: readonly Block[]): readonly string[] {
  return network.filter(followsInput).map(({ id }) => id);
}

/**
 * What a run by an adjustment will keep besides the reuse rule's values.
 *
 * @param following {@link followingBlocks} of the network
 */
export function mendingOf(adjustment: Pick<Adjustment, "blocks">, following: readonly string[]): Mending {
  const terms = termsOf(adjustment);
  return {
    history: historyOf({ history: 1 }, terms),
    inputsOf: terms.includes("input_change") ? following : [],
  };
}
