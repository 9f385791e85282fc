/** What one rater is shown, in which order and on which side: the same each time it is asked for. */
import { createHash } from "node:crypto";
import { MersenneTwister } from "../numerics/mersenneTwister.js";

export type TrialKind =
  /** one picture of each setting */
  | "pair"
  /** one of the pairs again with its sides swapped: does the rater agree with themselves? */
  | "repeat"
  /** a picture beside a version of itself spoilt beyond recognition: does the rater look? */
  | "attention";

/** Which of the two settings; in an attention check `a` is the whole picture and `b` the spoilt one. */
export type Side = "a" | "b";

export interface Trial {
  /** 0-based place in the rater's order */
  readonly index: number;
  readonly kind: TrialKind;
  /** whose pictures are shown */
  readonly trajectory: number;
  /** what is on the left */
  readonly left: Side;
}

/** One repeat and one attention check per this many pairs, and at least one of each. */
const PAIRS_A_CHECK = 10;

/**
 * The trials of one rater: every trajectory once, with repeats in the second half and attention checks anywhere, in an order
 * and on sides that only the study and the rater's name decide.
 *
 * @param study what else determines the order, such as the two settings
 */
export function trialsOf(study: string, rater: string, trajectories: number): Trial[] {
  const seed = createHash("sha256").update(`${study}\n${rater}`).digest().readUInt32LE(0);
  const random = new MersenneTwister(seed);
  const below = (limit: number): number => random.uint32() % limit;
  const side = (): Side => (below(2) === 0 ? "a" : "b");
  const checks = Math.max(1, Math.round(trajectories / PAIRS_A_CHECK));
  const shuffled = shuffle([...Array(trajectories).keys()], below);
  const pairs = shuffled.map((trajectory) => ({ kind: "pair" as const, trajectory, left: side() }));
  const order: Omit<Trial, "index">[] = [...pairs];
  for (const first of pairs.slice(0, checks)) {
    const place = Math.ceil(order.length / 2) + below(Math.floor(order.length / 2) + 1);
    order.splice(place, 0, { ...first, kind: "repeat", left: first.left === "a" ? "b" : "a" });
  }
  for (let check = 0; check < checks; check++)
    order.splice(below(order.length + 1), 0, { kind: "attention", trajectory: below(trajectories), left: side() });
  return order.map((trial, index) => ({ index, ...trial }));
}

function shuffle(values: number[], below: (limit: number) => number): number[] {
  for (let last = values.length - 1; last > 0; last--) {
    const other = below(last + 1);
    [values[last], values[other]] = [values[other], values[last]];
  }
  return values;
}
