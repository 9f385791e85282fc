import type { Block } from "../../graphs/block.js";
import { coefficientsAt, historyOf, termsOf } from "../adjustment/adjustment.js";
import type { Adjustment, Term } from "../adjustment/adjustment.js";
import type { Mending } from "./executionPlan.js";
import { ArgumentError } from "../../errors.js";
import { followsInput } from "./mendedSum.js";
import type { Coefficients, Mender } from "./mendedSum.js";
import type { ReuseRule } from "./reuseRule.js";

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

/** What a run with an adjustment will keep. */
export function mendingOf(adjustment: Adjustment, network: readonly Block[], reuse: ReuseRule): Mending {
  const terms = termsOf(adjustment);
  const following = new Set(network.filter(followsInput).map(({ id }) => id));
  return {
    history: historyOf(reuse, terms),
    keepsInput: (id) => terms.includes("input_change") && following.has(id),
  };
}
