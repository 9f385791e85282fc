import type { Measure } from "../../instrument/profile/profile.js";

/** What a measure is called in a figure, on its axis, and in a hover. */
export const MEASURE_TITLES: Readonly<
  Record<Measure, { readonly name: string; readonly formula: string; readonly symbol: string }>
> = {
  change: { name: "Relative change (L1)", formula: "‖C(t) − C(t−1)‖₁ / ‖C(t)‖₁", symbol: "L1rel" },
  change_cond: {
    name: "Relative change (L1, conditional half)",
    formula: "‖C(t) − C(t−1)‖₁ / ‖C(t)‖₁",
    symbol: "L1rel",
  },
  change_uncond: {
    name: "Relative change (L1, unconditional half)",
    formula: "‖C(t) − C(t−1)‖₁ / ‖C(t)‖₁",
    symbol: "L1rel",
  },
  change_l2: { name: "Relative change (L2)", formula: "‖C(t) − C(t−1)‖₂ / ‖C(t)‖₂", symbol: "L2rel" },
  cosine: { name: "Cosine similarity to the step before", formula: "cos(C(t), C(t−1))", symbol: "cos" },
};
