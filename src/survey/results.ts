/** The paper's Table 2: what people chose. */
import { basicInterval, groupedBy, resamplings } from "../quality/sets/bootstrap.js";
import type { Interval } from "../quality/sets/bootstrap.js";
import { csvLine } from "../study/table.js";
import { krippendorffAlpha } from "./agreement.js";
import type { Vote } from "./votes.js";

/** A share of the votes with its 95 % interval, by bootstrap over prompts. */
export interface Share extends Interval {
  readonly votes: number;
  /** 0 to 1 */
  readonly share: number;
}

export interface SurveyResult {
  readonly a: string;
  readonly b: string;
  /** votes on pairs by attentive raters; repeats and attention checks left out */
  readonly votes: number;
  readonly a_wins: Share;
  readonly ties: Share;
  readonly b_wins: Share;
  /** raters whose votes are counted */
  readonly raters: readonly string[];
  /** raters who chose the spoilt picture too often */
  readonly excluded: readonly string[];
  /** share of repeats in which a rater made the same choice as before; absent without repeats */
  readonly consistency?: number;
  /** Krippendorff's α over pairs, a < tie < b; absent where no pair has two raters */
  readonly agreement?: number;
}

/** Share of the attention checks seen that a rater must get right. */
const ATTENTIVE = 0.75;

/** Counts votes. `prompts` has the prompt of each trajectory. */
export function surveyResult(a: string, b: string, votes: readonly Vote[], prompts: readonly string[]): SurveyResult {
  const raters = [...new Set(votes.map(({ rater }) => rater))];
  const excluded = raters.filter((rater) => {
    const checks = votes.filter((vote) => vote.rater === rater && vote.kind === "attention");
    return checks.filter(({ choice }) => choice === "a").length < ATTENTIVE * checks.length;
  });
  const counted = votes.filter(({ rater }) => !excluded.includes(rater));
  const pairs = counted.filter(({ kind }) => kind === "pair");
  const groups = groupedBy(pairs.map(({ trajectory }) => prompts[trajectory]));
  const shareOf = (wanted: Vote["choice"]): Share => {
    const of = (rows: readonly number[]): number =>
      rows.filter((row) => pairs[row].choice === wanted).length / rows.length;
    if (pairs.length === 0) return { votes: 0, share: NaN, low: NaN, high: NaN };
    const share = of([...pairs.keys()]);
    const { low, high } = basicInterval(share, [...resamplings(groups)].map(of));
    return {
      votes: Math.round(share * pairs.length),
      share,
      low: Math.max(0, low),
      high: Math.min(1, high),
    };
  };
  const repeats = counted.filter(({ kind }) => kind === "repeat");
  const same = repeats.filter(({ rater, trajectory, choice }) =>
    pairs.some((pair) => pair.rater === rater && pair.trajectory === trajectory && pair.choice === choice),
  );
  const units = groupedBy(pairs.map(({ trajectory }) => String(trajectory)));
  const agreement = krippendorffAlpha(
    units.map((rows) => rows.map((row) => pairs[row].choice)),
    ["a", "tie", "b"],
  );
  return {
    a,
    b,
    votes: pairs.length,
    a_wins: shareOf("a"),
    ties: shareOf("tie"),
    b_wins: shareOf("b"),
    raters: raters.filter((rater) => !excluded.includes(rater)),
    excluded,
    ...(repeats.length === 0 ? {} : { consistency: same.length / repeats.length }),
    ...(Number.isNaN(agreement) ? {} : { agreement }),
  };
}

/** One line per vote, including those that are not counted. */
export function votesCsv(a: string, b: string, votes: readonly Vote[], prompts: readonly string[]): string {
  const named = (side: Vote["choice"]): string => ({ a, b, tie: "tie" })[side];
  const head = ["rater", "trial", "kind", "trajectory", "prompt", "left", "choice", "seconds", "at"];
  const lines = votes.map(({ rater, index, kind, trajectory, left, choice, seconds, at }) => {
    const [shown, chosen] =
      kind === "attention"
        ? [left === "a" ? "whole" : "spoilt", { a: "whole", b: "spoilt", tie: "tie" }[choice]]
        : [named(left), named(choice)];
    return [rater, index, kind, trajectory, prompts[trajectory], shown, chosen, seconds, at];
  });
  return `${[head, ...lines].map(csvLine).join("\n")}\n`;
}
