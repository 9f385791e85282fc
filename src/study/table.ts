/** A study's comparison as rows for people and for spreadsheets. */
import type { RatioInterval } from "../quality/pairedRatio.js";
import type { ComparedArm } from "./compare.js";
import { armNames } from "./result.js";
import type { StudyResult } from "./result.js";

/** `better`, `worse`: the interval at equal latency excludes 1; `even`: it does not; `outside`: no plain run is as fast, or as slow */
export type Verdict = "better" | "worse" | "even" | "outside";

/** How a cached arm does against plain sampling that takes as long; nothing for a plain arm. */
export function verdict({ result, atEqualLatency }: ComparedArm): Verdict | undefined {
  return result.arm.cached === undefined ? undefined : verdictOf(atEqualLatency);
}

/** What the ratio to plain sampling of equal cost says; nothing to compare with is `outside`. */
export function verdictOf(atEqualCost: RatioInterval | undefined): Verdict {
  if (atEqualCost === undefined) return "outside";
  if (atEqualCost.high < 1) return "better";
  return atEqualCost.low > 1 ? "worse" : "even";
}

const COLUMNS = [
  "study",
  "timestep_spacing",
  "arm",
  "solver",
  "steps",
  "heuristic",
  "parameter",
  "kinds",
  "reuse",
  "adjustment",
  "computed",
  "also",
  "speedup_asked",
  "speedup_predicted",
  "speedup",
  "distance",
  "vs_plain",
  "vs_plain_low",
  "vs_plain_high",
  "at_equal_latency",
  "at_equal_latency_low",
  "at_equal_latency_high",
  "verdict",
  "on_front",
] as const;

/** One line an arm of each study, with a head. Numbers in full; what an arm does not have is empty. */
export function comparisonCsv(
  studies: readonly { readonly path: string; readonly study: StudyResult; readonly arms: readonly ComparedArm[] }[],
): string {
  const lines = studies.flatMap(({ path, study, arms }) =>
    arms.map((compared) => {
      const { result, speedup, distance, againstPlain, atEqualLatency, onFront } = compared;
      const { name, solver, steps, cached } = result.arm;
      return csvLine([
        path,
        study.timestep_spacing,
        name,
        solver,
        steps,
        cached?.schedule.heuristic.name,
        cached?.parameter,
        cached?.kinds,
        cached?.reuse,
        cached?.adjustment?.file,
        result.computedShare,
        result.arm.also?.join("; "),
        cached?.askedSpeedups?.join("; "),
        result.predictedSpeedup,
        speedup,
        distance,
        againstPlain.ratio,
        againstPlain.low,
        againstPlain.high,
        atEqualLatency?.ratio,
        atEqualLatency?.low,
        atEqualLatency?.high,
        verdict(compared),
        onFront ? 1 : 0,
      ]);
    }),
  );
  return `${[COLUMNS.join(","), ...lines].join("\n")}\n`;
}

/** Values separated by commas; what is undefined is empty. */
export function csvLine(values: readonly (string | number | undefined)[]): string {
  return values.map((value) => quoted(String(value ?? ""))).join(",");
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Columns of one width each, two spaces apart; the first `left` are aligned left, the others right. */
export function alignedTable(rows: readonly (readonly string[])[], left = 1): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
      .join("  ")
      .trimEnd(),
  );
}

/** A speed-up as it was asked for: as said, where it was, and not as divided out of a latency. */
export function askedText(speedup: number): string {
  return String(Number(speedup.toFixed(3)));
}

/** The comparison as lines of a table, the head first. */
export function comparisonTable(arms: readonly ComparedArm[]): string[] {
  const interval = (of: ComparedArm["atEqualLatency"]): string =>
    of === undefined ? "–" : `${of.ratio.toFixed(2)} (${of.low.toFixed(2)}–${of.high.toFixed(2)})`;
  const rows = arms.map((compared) => {
    const { result, speedup, distance, againstPlain, atEqualLatency, onFront } = compared;
    const predicted = result.predictedSpeedup === undefined ? "–" : result.predictedSpeedup.toFixed(2);
    return [
      armNames(result.arm).join(" = "),
      `${(100 * result.computedShare).toFixed(0)} %`,
      result.arm.cached?.askedSpeedups?.map(askedText).join(", ") ?? "–",
      predicted,
      speedup.toFixed(2),
      distance.toPrecision(3),
      interval(againstPlain),
      interval(atEqualLatency),
      verdict(compared) ?? "",
      onFront ? "●" : "",
    ];
  });
  return alignedTable([
    [
      "arm",
      "computed",
      "asked",
      "predicted",
      "speed-up",
      "distance",
      "÷ plain's (95 %)",
      "÷ plain's at equal latency",
      "",
      "front",
    ],
    ...rows,
  ]);
}
